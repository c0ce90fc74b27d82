// Tells the client that a stage of interactive authentication is passed (client-server API, "Fallback").
"use strict";
if (window.onAuthDone) window.onAuthDone();
else if (window.opener && window.opener.postMessage) window.opener.postMessage("authDone", "*");
