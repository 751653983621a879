"""The pages for users: what they show and how they look, and nothing of how it comes.

Everything here is pure: a view and a frame go in, HTML comes out. Handlers in
`endpoints/` make views from what the engine says.

views         what each page shows, in each of its states
step_views    those of second factors
client_views  those of clients
language      the languages, their sentences, and which one a request gets
rendering     from a view to HTML, by the templates
frames        what surrounds the page of a request: its language, whose service it is
faults        from what the engine refuses to what a page says at a field
errors        the page for an error, in the place of a problem document
templates/    one file for each page, on `gate.html`; `macros.html` has the parts
languages/    one file of sentences for each language

The stylesheet, the mark and the one script are files of `endpoints/pages/files.py`.
"""
