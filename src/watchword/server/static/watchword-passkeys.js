// Asks passkeys for what the forms of a page need, with the browser's own functions alone
// (WebAuthn level 3, §5.1). What comes of it is sent as a hidden field of the form.
//
//   <form data-passkey="get|create" data-options="JSON" data-suggested>
//
// With `data-suggested` the browser offers passkeys at the field of the user name too.

// A challenge is good for five minutes: after four the page is asked for another one.
const FRESH = 4 * 60_000;
const { PublicKeyCredential: Passkey } = globalThis;
const known = Boolean(
  Passkey?.parseRequestOptionsFromJSON && Passkey.parseCreationOptionsFromJSON,
);
let waiting = new AbortController(); // of the question to the browser under way
let asked = Date.now();

/** Ends the question before, since a browser takes one at a time. */
function next() {
  waiting.abort();
  waiting = new AbortController();
  return waiting.signal;
}

function answer(form, signal, mediation) {
  const options = JSON.parse(form.dataset.options);
  if (form.dataset.passkey === "create") {
    const publicKey = Passkey.parseCreationOptionsFromJSON(options);
    return navigator.credentials.create({ publicKey, signal });
  }
  const publicKey = Passkey.parseRequestOptionsFromJSON(options);
  return navigator.credentials.get({ publicKey, signal, mediation });
}

function send(form, credential) {
  form.elements.credential.value = JSON.stringify(credential);
  form.submit();
}

// Takes another challenge from the address of this page. There is none where the page is
// the answer to a form.
async function renew(form) {
  const page = await (await fetch(location.href)).text();
  const parsed = new DOMParser().parseFromString(page, "text/html");
  const fresh = parsed.querySelector("form[data-passkey]");
  if (!fresh) return;
  asked = Date.now();
  form.dataset.options = fresh.dataset.options;
  for (const name of ["challenge", "form_token"]) {
    form.elements[name].value = fresh.elements[name].value;
  }
}

async function pressed(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const failed = form.querySelector("[data-failed]");
  failed.hidden = true;
  const signal = next();
  try {
    if (Date.now() - asked > FRESH) await renew(form);
    send(form, await answer(form, signal));
  } catch {
    if (signal.aborted) return; // the button was pressed again
    failed.hidden = false;
    if ("suggested" in form.dataset) suggest(form);
  }
}

// It waits until the user picks a passkey, presses the button or leaves.
async function suggest(form) {
  const signal = next();
  const can = await Passkey.isConditionalMediationAvailable?.();
  if (!can || signal.aborted) return;
  const again = setTimeout(async () => {
    await renew(form).catch(() => {}); // offline: tried again in four minutes
    if (!signal.aborted) suggest(form);
  }, FRESH);
  signal.addEventListener("abort", () => clearTimeout(again));
  try {
    send(form, await answer(form, signal, "conditional"));
  } catch {
    // The button is still there.
  }
}

if (known) {
  for (const one of document.querySelectorAll("[data-needs-passkeys]")) {
    one.hidden = false;
  }
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", pressed);
    if ("suggested" in form.dataset) suggest(form);
  }
}
