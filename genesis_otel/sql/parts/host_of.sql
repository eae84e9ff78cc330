-- The host of a URL, or of a host with a port, after a full stop and in lower case.
--
-- server: a text
concat('.', lower(extract(@server, '^(?:[a-zA-Z][a-zA-Z0-9+.-]*://)?(?:[^/@]*@)?([^/:?#]+)')))
