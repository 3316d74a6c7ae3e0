// Takes request and token from the URL's fragment, or from the form, and posts them on a click.
// All texts are in the page; the script only shows and hides them.
"use strict";

(function () {
  const byId = (id) => document.getElementById(id);
  const fragment = location.hash;
  const given = new URLSearchParams(fragment.slice(1));
  const form = byId("form");
  const endings = Array.from(document.querySelectorAll("[data-ending]"));

  if (given.get("request") && given.get("token")) {
    byId("request").value = given.get("request");
    byId("code").value = given.get("token");
    byId("manual").hidden = true;
    byId("linked").hidden = false;
  }
  if (fragment) {
    // Keep the token out of the browser's history and address bar.
    history.replaceState(null, "", location.pathname + location.search);
    document.querySelectorAll("nav a").forEach((link) => { link.href += fragment; });
  }

  function show(name) {
    const ending = byId(name) || byId("unavailable");
    endings.forEach((element) => { element.hidden = element !== ending; });
    byId("working").textContent = "";
    if (ending.dataset.ending === "good") {
      form.hidden = true;
    } else if (name === "not-found") {
      byId("manual").hidden = false;
      byId("linked").hidden = true;
    }
    ending.focus();
  }

  async function confirm() {
    const request = byId("request").value.trim();
    const token = byId("code").value.trim();
    const consent = byId("consent");
    if (!request || !token) {
      return show("incomplete");
    }
    if (consent && !consent.checked) {
      return show("consent-missing");
    }
    endings.forEach((element) => { element.hidden = true; });
    byId("working").textContent = byId("working").dataset.text;
    try {
      const answer = await fetch("/api/gdpr/verify/" + encodeURIComponent(request), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token: token, consent: Boolean(consent && consent.checked) }),
        credentials: "omit",
      });
      const body = await answer.json();
      show(answer.ok ? "done-" + body.request_type : String(body.type).split(":").pop());
    } catch (error) {
      show("unavailable");
    }
  }

  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!busy) {
      busy = true;
      await confirm();
      busy = false;
    }
  });
}());
