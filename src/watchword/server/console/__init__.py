"""The console for operators: what it shows and how it looks, but not how it comes.

Everything here is pure, as in `server/pages/`: a screen and a frame go in, HTML comes
out. Handlers in `endpoints/console/` make screens from what `engine.admin` says. It is
in English only.

frames       what surrounds a screen: whose it is, where, its menu
screens      what every screen has
notices      what was just done, or refused, for the next screen to say
times        instants and numbers, in words
rendering    from a screen to HTML, by the templates
templates/   one file for each screen, on `console.html`; `m.html` has the parts
"""
