// Takes request and token from the URL's fragment, or from the form; asks the API what the request is, which
// leaves the token good; and confirms it on a click. All texts are in the page.
"use strict";

(function () {
  const byId = (id) => document.getElementById(id);
  const texts = JSON.parse(byId("texts").textContent);
  const fragment = location.hash;
  const given = new URLSearchParams(fragment.slice(1));
  const endings = Array.from(document.querySelectorAll("[data-ending]"));
  const find = byId("find");
  const act = byId("act");
  const when = new Intl.DateTimeFormat(document.documentElement.lang, {
    dateStyle: "long", timeStyle: "short",
  });
  let busy = false;

  const typed = (id) => byId(id).value.trim();
  const problem = (body) => String(body.type).split(":").pop();
  const withTime = (text, time) => text.replace("{until}", when.format(new Date(time)));

  function end(name) {
    const ending = byId(name) || byId("unavailable");
    endings.forEach((element) => { element.hidden = element !== ending; });
    byId("working").textContent = "";
    if (ending.dataset.ending === "good") {
      find.hidden = act.hidden = true;
      byId("next").hidden = false;
    } else if (name === "not-found") {
      find.hidden = false;
      act.hidden = true;
    }
    ending.focus();
  }

  async function post(path, body) {
    endings.forEach((element) => { element.hidden = true; });
    byId("working").textContent = texts.working;
    const answer = await fetch("/api/gdpr/verify/" + encodeURIComponent(typed("request")) + path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
    });
    const value = await answer.json();
    byId("working").textContent = "";
    return [answer.ok, value];
  }

  async function look() {
    if (!typed("request") || !typed("code")) {
      return end("incomplete");
    }
    const [ok, request] = await post("/description", { token: typed("code") });
    return ok ? show(request) : end(problem(request));
  }

  function show(request) {
    const kind = request.request_type;
    document.title = byId("heading").textContent = texts["heading-" + kind];
    byId("intro").hidden = find.hidden = true;
    // The form may have shown another request before.
    byId("erasure").hidden = byId("export").hidden = byId("copies").hidden = true;
    document.querySelectorAll("input[name=copy]").forEach((choice) => { choice.checked = false; });
    byId(kind).hidden = act.hidden = false;
    const button = byId("confirm");
    button.textContent = texts["button-" + kind];
    button.className = kind === "erasure" ? "danger" : "primary";
    if (request.export_until) {
      byId("copies").hidden = false;
      byId("copy").textContent = withTime(texts.copy, request.export_until);
      const wait = byId("copywait");
      wait.parentElement.querySelector("span").textContent = withTime(texts.copy_wait, request.could_wait_until);
      byId(request.export_fetched ? "copydelete" : "copywait").checked = true;
    }
    byId("heading").focus();
  }

  async function confirm() {
    const consent = byId("consent");
    if (consent && !consent.checked) {
      return end("consent-missing");
    }
    const body = { token: typed("code"), consent: Boolean(consent && consent.checked) };
    const choice = document.querySelector("input[name=copy]:checked");
    if (choice) {
      body.existing_export = choice.value;
    }
    const [ok, request] = await post("", body);
    if (!ok) {
      return end(problem(request));
    }
    if (request.waits_until) {
      byId("done-waiting").textContent = withTime(texts["done-waiting"], request.waits_until);
      return end("done-waiting");
    }
    return end("done-" + request.request_type);
  }

  function once(work) {
    return async (event) => {
      if (event) {
        event.preventDefault();
      }
      if (!busy) {
        busy = true;
        try {
          await work();
        } catch (error) {
          end("unavailable");
        }
        busy = false;
      }
    };
  }

  find.addEventListener("submit", once(look));
  act.addEventListener("submit", once(confirm));
  // A link that is opened in this very tab differs in its fragment alone, which loads nothing.
  window.addEventListener("hashchange", () => location.reload());
  if (fragment) {
    // Keep the token out of the browser's history and address bar.
    history.replaceState(null, "", location.pathname + location.search);
    document.querySelectorAll("nav a").forEach((link) => { link.href += fragment; });
  }
  if (given.get("request") && given.get("token")) {
    byId("request").value = given.get("request");
    byId("code").value = given.get("token");
    find.hidden = true;
    once(look)();
  }
}());
