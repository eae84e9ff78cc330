// Programs with syntax highlighting, and the differences between two of them.
import { html } from "./html.js";
import { useMemo } from "preact/hooks";
import { diffLines } from "diff";
import hljs from "highlight.js/lib/core";
import python from "highlight.js/lib/languages/python";
import javascript from "highlight.js/lib/languages/javascript";
import rust from "highlight.js/lib/languages/rust";
import cpp from "highlight.js/lib/languages/cpp";
import { count, visible } from "./format.js";

for (const [name, language] of Object.entries({ python, javascript, rust, cpp })) hljs.registerLanguage(name, language);
const LONGEST = 200_000, LANGUAGES = ["python", "cpp", "rust", "javascript"], ENDINGS = { python: ".py", cpp: ".cpp", rust: ".rs", javascript: ".js" };

// The file extension for a program: that of the language it looks like, if that is clear.
export function ending(text) {
  const { language, relevance } = hljs.highlightAuto(text.slice(0, LONGEST), LANGUAGES);
  return relevance > 5 ? ENDINGS[language] : ".txt";
}

// highlight.js escapes its output, which is the only HTML here that this page does not build itself.
export function Code({ text }) {
  const shown = visible(text);
  const coloured = useMemo(() => (shown.length > LONGEST ? null : hljs.highlightAuto(shown, LANGUAGES).value), [shown]);
  return coloured === null ? html`<pre class="code" tabindex="0">${shown}</pre>` : html`<pre class="code hljs" tabindex="0" dangerouslySetInnerHTML=${{ __html: coloured }}></pre>`;
}

const AROUND = 3;

export function Diff({ before, after }) {
  const parts = useMemo(() => diffLines(visible(before), visible(after)), [before, after]);
  if (parts.every((part) => !part.added && !part.removed)) return html`<p class="none">The two programs are identical.</p>`;
  const rows = [];
  parts.forEach((part, index) => {
    const lines = part.value.replace(/\n$/, "").split("\n");
    if (part.added || part.removed) {
      for (const line of lines) rows.push(html`<div class=${part.added ? "added" : "removed"}><span class="sign">${part.added ? "+" : "−"}</span>${line || " "}</div>`);
      return;
    }
    const head = index === 0 ? 0 : AROUND, tail = index === parts.length - 1 ? 0 : AROUND;
    if (lines.length <= head + tail + 1) for (const line of lines) rows.push(html`<div><span class="sign"> </span>${line || " "}</div>`);
    else {
      for (const line of lines.slice(0, head)) rows.push(html`<div><span class="sign"> </span>${line || " "}</div>`);
      rows.push(html`<div class="skipped">${count(lines.length - head - tail, "unchanged line")}</div>`);
      for (const line of tail ? lines.slice(-tail) : []) rows.push(html`<div><span class="sign"> </span>${line || " "}</div>`);
    }
  });
  return html`<pre class="code diff" tabindex="0">${rows}</pre>`;
}
