"use strict";
// Keeps the page of a rollout or a fleet in progress fresh: an event says that there is
// more to see, and the page is then read again.
(() => {
  const main = () => document.querySelector("main");
  const url = main().dataset.events;
  if (!url) return;
  let busy = false, again = false;
  const keep = (next) => {
    const typed = document.querySelector("input[name=reason]");
    const field = next.querySelector("input[name=reason]");
    const focused = document.activeElement === typed;
    if (typed && field) field.value = typed.value;
    main().replaceWith(document.adoptNode(next.querySelector("main")));
    if (field && focused) field.focus();
    document.title = next.title;
  };
  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href);
      if (answer.ok) keep(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // the next event tries again
    } finally {
      busy = false;
    }
    if (!main().dataset.events) rest();
    if (again) {
      again = false;
      refresh();
    }
  };
  // A browser has few connections to a site: a page out of sight holds none.
  let source;
  const rest = () => {
    source?.close();
    source = undefined;
  };
  const follow = () => {
    if (source || document.hidden || !main().dataset.events) return;
    source = new EventSource(url);
    source.onmessage = (event) => {
      if (event.data !== main().dataset.seen) refresh();
    };
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : follow()));
  follow();
})();
