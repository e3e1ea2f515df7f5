// The hosted login page. It shows where the login stands and sends what the creator enters, to its own origin only.
"use strict";

(() => {
  const root = location.pathname.replace(/\/+$/, "");
  const byId = (id) => document.getElementById(id);
  const POLL_MS = 1500;
  const OFFLINE = "The connection failed. Check your network, and try again.";
  const framed = window.parent !== window;
  const STEPS = ["login", "progress", "code", "face", "done", "failed"];
  const WORDS = {
    started: "Connecting to OnlyFans …",
    submitting: "Logging in …",
    checking: "Checking the account …",
  };
  const SAID = { // in the creator's words, where the attempt's own are for whoever calls the API
    already_connected: "This OnlyFans account is already connected: there is nothing to do here.",
    captcha_required: "OnlyFans asks for a captcha, which this page does not solve.",
  };
  let timer = null;
  let turn = 0; // counts what the creator sent: a status that was asked for before it says nothing about it
  let told = false;
  let shown = "";

  // A step that comes up gets the focus, for who listens instead of looking; the first one leaves it where it is.
  function show(step) {
    const before = shown;
    shown = step;
    for (const name of STEPS) byId("step-" + name).hidden = name !== step;
    if (before && before !== step) byId(step === "code" ? "code" : "step-" + step).focus({ preventScroll: step !== "code" });
  }

  function error(text) {
    byId("error").textContent = text || "";
    byId("error").hidden = !text;
  }

  function fieldErrors(form, errors) {
    for (const line of form.querySelectorAll(".field-error")) {
      const text = (errors[line.dataset.for] || [])[0] || "";
      line.textContent = text;
      line.hidden = !text;
      const input = form.elements[line.dataset.for];
      if (input) input.setAttribute("aria-invalid", text ? "true" : "false");
    }
    const first = form.querySelector('[aria-invalid="true"]');
    if (first) first.focus();
  }

  async function call(path, body) {
    const options = { cache: "no-store", credentials: "omit" };
    if (body) {
      options.method = "POST";
      options.headers = { "Content-Type": "application/json" };
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(root + path, options).catch(() => { throw new Error(OFFLINE); });
    const data = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(data.message || "Something failed. Try again."), { data, status: answer.status });
    return data;
  }

  // The site that shows this page in a frame hears of the end, in the words of the official frame library.
  function tell(type, payload) {
    if (told || !framed) return;
    told = true;
    window.parent.postMessage({ type, payload }, "*");
  }

  function render(status) {
    const last = status.lastAttempt || {};
    byId("for").textContent = status.display_name;
    clearTimeout(timer);
    if (status.state === "new" || status.progress === "filling_out_login") {
      if (shown !== "login") error(last.error_message);
      show("login");
      timer = setTimeout(poll, 2 * POLL_MS); // the link may be open on another device, too
      return;
    }
    if (status.state === "authenticated") {
      error("");
      const { id, username, onlyfans_data } = status.account;
      byId("done").textContent = "Connected" + (username ? " as " + username : "") + ".";
      byId("close-hint").hidden = framed;
      byId("continue").hidden = !framed;
      show("done");
      tell("onlyfansapi.auth.success", { accountId: id, username, onlyfansData: onlyfans_data, response: status });
      return;
    }
    if (status.state === "failed") {
      error(SAID[last.error_code] || last.error_message);
      byId("failed-captcha").hidden = last.error_code !== "captcha_required";
      show("failed");
      tell("onlyfansapi.auth.failed", { message: last.error_message, code: last.error_code, details: last });
      return;
    }
    if (status.state === "needs_face_otp") {
      error(last.error_message);
      const link = byId("face-link");
      link.hidden = !/^https:\/\//.test(last.face_otp_verification_url || "");
      if (!link.hidden) link.href = last.face_otp_verification_url;
      show("face");
    } else if (status.state.startsWith("needs")) {
      error(last.error_message);
      const ending = last.otp_phone_ending;
      byId("code-text").textContent = status.state === "needs-app-otp"
        ? "Enter the code that your authenticator app shows."
        : "Enter the code that OnlyFans sent to your phone" + (ending ? " ending in " + ending : "") + ".";
      show("code");
    } else {
      error("");
      byId("progress").textContent = WORDS[status.progress] || "One moment …";
      show("progress");
    }
    timer = setTimeout(poll, POLL_MS);
  }

  async function poll() {
    const asked = turn;
    try {
      const status = await call("/status");
      if (asked === turn) render(status);
    } catch (problem) {
      if (asked !== turn) return;
      if (problem.status === 404) {
        error(problem.message);
        show("failed");
        return;
      }
      timer = setTimeout(poll, 2 * POLL_MS);
    }
  }

  function onSubmit(form, path, body) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button[type=submit]");
      button.disabled = true;
      clearTimeout(timer);
      turn += 1;
      fieldErrors(form, {});
      try {
        const status = await call(path, body());
        form.reset();
        byId("password").type = "password";
        render(status);
      } catch (problem) {
        const errors = (problem.data && problem.data.errors) || {};
        fieldErrors(form, errors);
        if (Object.keys(errors).length === 0) error(problem.message);
        if (problem.status === 409) timer = setTimeout(poll, POLL_MS);
      } finally {
        button.disabled = false;
      }
    });
  }

  const TABS = ["password", "session"];

  function choose(name) {
    for (const one of TABS) {
      const tab = byId("tab-" + one);
      tab.setAttribute("aria-selected", String(one === name));
      tab.tabIndex = one === name ? 0 : -1;
      byId("form-" + one).hidden = one !== name;
    }
  }

  function cookie(text, name) {
    const found = text.split(";").map((part) => part.trim()).find((part) => part.startsWith(name + "="));
    return found ? found.slice(name.length + 1) : "";
  }

  const values = (form, names) => () => Object.fromEntries(names.map((name) => [name, form.elements[name].value]));

  for (const [at, name] of TABS.entries()) {
    const tab = byId("tab-" + name);
    tab.addEventListener("click", () => choose(name));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: TABS.length - 1 - at }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = TABS[(at + step + TABS.length) % TABS.length];
      choose(next);
      byId("tab-" + next).focus();
    });
  }
  byId("show-password").addEventListener("change", (event) => {
    byId("password").type = event.target.checked ? "text" : "password";
  });
  byId("continue").addEventListener("click", () => window.parent.postMessage({ type: "onlyfansapi.auth.continue" }, "*"));
  byId("cookies").addEventListener("input", (event) => {
    const id = cookie(event.target.value, "auth_id");
    if (id) byId("auth_id").value = id;
  });
  onSubmit(byId("form-password"), "/start", values(byId("form-password"), ["email", "password"]));
  onSubmit(byId("form-session"), "/start", values(byId("form-session"), ["cookies", "user_agent", "xbc", "auth_id"]));
  onSubmit(byId("form-code"), "/code", values(byId("form-code"), ["code"]));
  onSubmit(byId("form-face"), "/code", () => ({ selfie_verification_completed: true }));
  byId("user_agent").value = navigator.userAgent;
  poll();
})();
