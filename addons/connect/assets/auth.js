// Opens the hosted login page in a frame over your site:
//   <script src="https://gateway.example.com/connect/auth.js"></script>
//   OnlyFansAPI.Auth.startOnlyFansAuthentication(token, { onSuccess, onError, onContinue });
// The names, and the messages of the frame, are those of the npm package @onlyfansapi/auth.
"use strict";

(() => {
  const page = new URL(".", document.currentScript.src);
  let open = null;

  function closeOnlyFansAuthentication() {
    if (!open) return;
    window.removeEventListener("message", open.onMessage);
    open.dialog.remove();
    open = null;
  }

  function startOnlyFansAuthentication(token, options) {
    closeOnlyFansAuthentication();
    const dialog = document.createElement("dialog");
    const frame = document.createElement("iframe");
    const close = document.createElement("button");
    frame.src = new URL(encodeURIComponent(token), page).href;
    frame.title = "Connect your OnlyFans account";
    Object.assign(frame.style, { border: "0", width: "100%", height: "100%" });
    Object.assign(dialog.style, { width: "min(96vw, 30rem)", height: "min(90vh, 44rem)", padding: "0", border: "0", borderRadius: "12px" });
    close.type = "button";
    close.textContent = "×";
    close.setAttribute("aria-label", "Close");
    Object.assign(close.style, { position: "absolute", top: "8px", right: "8px", width: "40px", height: "40px" });
    close.addEventListener("click", closeOnlyFansAuthentication);
    dialog.addEventListener("close", closeOnlyFansAuthentication);
    const onMessage = (event) => {
      if (event.origin !== page.origin || event.source !== frame.contentWindow || !event.data) return;
      const { type, payload } = event.data;
      if (type === "onlyfansapi.auth.success" && options.onSuccess) options.onSuccess(payload);
      if (type === "onlyfansapi.auth.failed" && options.onError) options.onError(payload);
      if (type === "onlyfansapi.auth.continue") {
        closeOnlyFansAuthentication();
        if (options.onContinue) options.onContinue();
      }
    };
    window.addEventListener("message", onMessage);
    open = { dialog, onMessage };
    dialog.append(close, frame);
    document.body.append(dialog);
    dialog.showModal();
  }

  window.OnlyFansAPI = { ...window.OnlyFansAPI, Auth: { startOnlyFansAuthentication, closeOnlyFansAuthentication } };
})();
