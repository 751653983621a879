// Reads the code of a mailed link out of the address (#ww_cf_…), and sends it to the
// page itself, which then shows what the link is for. That spends nothing: what it does
// is done by a button on the next page, and never by this script.
"use strict";

const code = location.hash.slice(1);
// First of all: neither the history nor a bookmark shall have it.
if (code) history.replaceState(null, "", location.pathname + location.search);

const form = document.querySelector("form[data-fragment]");
if (code && form) {
  form.elements[form.dataset.fragment].value = code;
  form.requestSubmit();
}
