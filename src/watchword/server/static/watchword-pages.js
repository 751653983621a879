// Reads the code of a mailed link out of the address (#ww_cf_…), and sends it to the
// page itself, which then shows what the link is for. That spends nothing: what it does
// is done by a button on the next page, and never by this script. It also copies.
"use strict";

function sendCode() {
  const code = location.hash.slice(1);
  if (!code) return;
  // First of all: neither the history nor a bookmark shall have it.
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.querySelector("form[data-fragment]");
  if (!form) return;
  form.elements[form.dataset.fragment].value = code;
  form.requestSubmit();
}

sendCode();
// A link that is pasted where this page is open already loads nothing anew.
addEventListener("hashchange", sendCode);

// What stands in a field or a list, for the clipboard. Without this the buttons are hidden.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const shown = document.getElementById(button.dataset.copy);
    const items = [...shown.querySelectorAll("li")].map((one) => one.textContent);
    await navigator.clipboard.writeText(shown.value ?? items.join("\n"));
    button.textContent = button.dataset.done;
  });
}
