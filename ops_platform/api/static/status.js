// Signs in by the token in the URL's fragment, on a click; shows the requests and looks again every few seconds.
// The session is kept for this tab alone. All texts are in the page.
"use strict";

(function () {
  const byId = (id) => document.getElementById(id);
  const texts = JSON.parse(byId("texts").textContent);
  const lang = document.documentElement.lang;
  const when = new Intl.DateTimeFormat(lang, { dateStyle: "long", timeStyle: "short" });
  const KEY = "ops-platform-session";
  const STEPS = ["asked", "confirmed", "working", "done"];
  const LOOK_AGAIN = 5000;
  let link = new URLSearchParams(location.hash.slice(1)).get("token");
  let timer = null;
  let shown = "";
  let stale = false;

  const session = () => sessionStorage.getItem(KEY);
  const time = (text) => when.format(new Date(text));

  function say(name, bad) {
    const message = byId("message");
    message.textContent = name ? texts[name] || texts.unavailable : "";
    message.className = bad ? "bad" : "good";
    message.hidden = !name;
    if (bad) {
      message.focus();
    }
  }

  async function call(method, path, body, accept) {
    const headers = accept ? { Accept: accept, "Accept-Language": lang } : {};
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
    }
    if (session()) {
      headers.Authorization = "Bearer " + session();
    }
    const answer = await fetch("/api/gdpr/" + path, {
      method: method,
      headers: headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
    });
    if (!answer.ok) {
      const problem = await answer.json();
      throw new Error(String(problem.type).split(":").pop());
    }
    return answer;
  }

  function signedOut(name, bad) {
    clearTimeout(timer);
    sessionStorage.removeItem(KEY);
    shown = "";
    byId("requests").replaceChildren();
    byId("sign_out").hidden = byId("enter").hidden = true;
    byId("ask").hidden = false;
    say(name, bad);
  }

  function failed(error) {
    if (error.message === "unauthorized") {
      return signedOut("unauthorized", true);
    }
    if (session()) {
      lookLater();
    }
    return say(texts[error.message] ? error.message : "unavailable", true);
  }

  function state(request) {
    const download = request.download_until && new Date(request.download_until) > new Date();
    if (request.status === "failed") {
      return "state-" + request.outcome;
    }
    if (request.status === "completed") {
      return request.request_type === "erasure" ? "state-erased" : download ? "state-ready" : "state-over";
    }
    if (request.status === "processing") {
      return "doing-" + request.progress in texts ? "doing-" + request.progress : "state-working";
    }
    if (!request.verified_at) {
      return "state-waiting";
    }
    const held = request.waits_until && new Date(request.waits_until) > new Date();
    return held ? "state-held" : "state-queued";
  }

  function button(name, kind, request, work) {
    const element = document.createElement("button");
    element.id = name + "-" + request.request_id;
    element.type = "button";
    element.className = kind;
    element.textContent = texts[name];
    // Not disabled meanwhile: it would lose the focus.
    let busy = false;
    element.addEventListener("click", async () => {
      if (!busy) {
        busy = true;
        try {
          await work(request);
        } catch (error) {
          failed(error);
        }
        busy = false;
      }
    });
    return element;
  }

  async function download(request) {
    const answer = await (await call("GET", "download/" + request.request_id)).json();
    location.assign(answer.url);
    say("downloading");
    lookSoon();
  }

  const certificate = (request) => save(request, "application/json", ".json");
  const certificatePage = (request) => save(request, "text/html", ".html");

  async function save(request, type, ending) {
    const answer = await call("GET", "certificate/" + request.request_id, undefined, type);
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(await answer.blob());
    anchor.download = "erasure-certificate-" + request.request_id + ending;
    anchor.click();
    URL.revokeObjectURL(anchor.href);
    say("downloading");
  }

  // What is asked differs: the names of its texts begin with the button's.
  function sure(name) {
    const dialog = byId("sure");
    const parts = { suretitle: "sure", surewhat: "what", yes: "yes", no: "no" };
    Object.entries(parts).forEach(([id, part]) => { byId(id).textContent = texts[name + "_" + part]; });
    return new Promise((resolve) => {
      let answer = false;
      byId("yes").onclick = () => { answer = true; dialog.close(); };
      byId("no").onclick = () => dialog.close();
      dialog.onclose = () => resolve(answer);
      dialog.showModal();
    });
  }

  async function cancel(request) {
    if (!(await sure("cancel"))) {
      return;
    }
    await call("DELETE", "request/" + request.request_id);
    say("cancelled");
    await look();
  }

  async function receive(request) {
    if (!(await sure("receive"))) {
      return;
    }
    await call("POST", "download/" + request.request_id + "/received");
    say("received");
    await look();
  }

  function card(request) {
    const element = byId("request").content.firstElementChild.cloneNode(true);
    const title = element.querySelector("h2");
    title.id = "title-" + request.request_id;
    title.textContent = texts["heading-" + request.request_type];
    element.setAttribute("aria-labelledby", title.id);
    const name = state(request);
    element.querySelector(".state").textContent = texts[name].replace("{time}", request.waits_until ? time(request.waits_until) : "");
    const steps = element.querySelector(".steps");
    const reached = { pending: request.verified_at ? 1 : 0, processing: 2, completed: 3 }[request.status];
    if (reached === undefined) {
      steps.remove();
    } else {
      STEPS.forEach((step, number) => {
        const item = document.createElement("li");
        item.textContent = texts["step-" + step];
        item.className = number <= reached ? "reached" : "";
        if (number === reached) {
          item.setAttribute("aria-current", "step");
        }
        steps.append(item);
      });
    }
    const facts = element.querySelector("dl");
    const open = request.status === "pending" || request.status === "processing";
    const times = ["created_at", "verified_at", "completed_at", "download_until"];
    if (open) {
      times.splice(2, 0, request.verified_at ? "due_at" : "verification_expires_at");
    }
    const pairs = times.filter((field) => request[field]).map((field) => [texts[field], time(request[field])]);
    pairs.push([texts.number, request.request_id]);
    pairs.forEach(([label, value]) => {
      const group = document.createElement("div");
      const term = document.createElement("dt");
      const text = document.createElement("dd");
      term.textContent = label;
      text.textContent = value;
      group.append(term, text);
      facts.append(group);
    });
    const actions = element.querySelector(".actions");
    if (name === "state-ready") {
      actions.append(button("download", "primary", request, download));
    }
    if (request.can_be_received) {
      actions.append(button("receive", "", request, receive));
    }
    if (request.has_certificate) {
      actions.append(button("certificate", "primary", request, certificate));
      actions.append(button("certificate_page", "", request, certificatePage));
    }
    if (request.can_be_cancelled) {
      actions.append(button("cancel", "", request, cancel));
    }
    return element;
  }

  // A link was given out: what can be done now has changed.
  function lookSoon() {
    clearTimeout(timer);
    timer = setTimeout(lookAgain, 0);
  }

  function lookLater() {
    clearTimeout(timer);
    timer = setTimeout(lookAgain, LOOK_AGAIN);
  }

  async function lookAgain() {
    try {
      await look();
    } catch (error) {
      // Said once: each message takes the focus.
      if (stale && error.message !== "unauthorized") {
        return lookLater();
      }
      stale = true;
      return failed(error);
    }
    return undefined;
  }

  async function look() {
    clearTimeout(timer);
    const began = session();
    const text = await (await call("GET", "requests")).text();
    if (session() !== began) {
      return;
    }
    if (stale) {
      stale = false;
      say("");
    }
    const list = JSON.parse(text).requests;
    const states = list.map((request) => state(request)).join();
    // A dialog gives the focus back to a button that must still be there.
    if (text + states !== shown && !byId("sure").open) {
      shown = text + states;
      const focused = byId("requests").contains(document.activeElement) ? document.activeElement.id : "";
      byId("requests").replaceChildren(...list.map(card));
      if (focused && byId(focused)) {
        byId(focused).focus();
      }
    }
    byId("sign_out").hidden = false;
    byId("ask").hidden = byId("enter").hidden = true;
    if (!list.length) {
      say("none");
    }
    lookLater();
  }

  byId("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    const email = byId("email").value.trim();
    if (!email) {
      return say("incomplete", true);
    }
    say("working");
    try {
      await call("POST", "sign-in", { email: email, language: lang });
      byId("ask").hidden = true;
      say("sent");
    } catch (error) {
      failed(error);
    }
    return undefined;
  });

  byId("enter").addEventListener("submit", async (event) => {
    event.preventDefault();
    say("working");
    try {
      const begun = await (await call("POST", "session", { token: link })).json();
      link = null;
      // The token is used up: with it, the page in the other language would give this session away.
      document.querySelectorAll("nav a").forEach((anchor) => { anchor.hash = ""; });
      sessionStorage.setItem(KEY, begun.session);
      say("");
      await look();
      byId("heading").focus();
    } catch (error) {
      if (error.message === "not-found") {
        signedOut("not-found", true);
      } else {
        failed(error);
      }
    }
  });

  byId("sign_out").addEventListener("click", async () => {
    try {
      await call("DELETE", "session");
    } catch (error) {
      // It ends by itself.
    }
    signedOut("signed_out");
  });

  // A link that is opened in this very tab differs in its fragment alone, which loads nothing.
  window.addEventListener("hashchange", () => location.reload());
  if (location.hash) {
    const fragment = location.hash;
    // Keep the token out of the browser's history and address bar.
    history.replaceState(null, "", location.pathname + location.search);
    document.querySelectorAll("nav a").forEach((anchor) => { anchor.href += fragment; });
  }
  if (link) {
    sessionStorage.removeItem(KEY);
    byId("enter").hidden = false;
  } else if (session()) {
    lookAgain();
  } else {
    byId("ask").hidden = false;
  }
}());
