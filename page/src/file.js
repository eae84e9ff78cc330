// A report: the page in one file, with data that answers requests as the server would. `file` is null on the live page.

const data = document.getElementById("data");
export const file = data && JSON.parse(data.textContent);

const ABSENT = () => `Not in this file, which has the code and prompts of ${Object.keys(file.individuals).length} individuals only: genesis-otel report --top N includes more.`;

// The answer as `told`, or an `error`; null on the live page.
export function answer(path, asked) {
  if (!file) return null;
  if (asked.run && path !== "compare" && asked.run !== file.run) return { error: "This run is not in this file." };
  if (path === "compare") return { told: file.compared };
  if (path === "calls") return { told: matching(asked) };
  if (path === "run/individual") return Object.hasOwn(file.individuals, asked.individual) ? { told: whole(file.individuals[asked.individual]) } : { error: ABSENT() };
  if (path === "run/arrivals") return { told: { individuals: "", calls: "", others: "" } };
  // A file never changes: nothing arrives after the first answer.
  if (asked.since) return { told: { since: asked.since, columns: {} } };
  return { told: file.answers[path] };
}

// A program that is also another's parent is stored in the file once.
function whole(one) {
  return { ...one, code: file.programs[one.individual_id], parent: one.parent && { individual_id: one.parent, code: file.programs[one.parent] } };
}

// Like the named query calls_matching, but text is searched only in the prompts and answers that the file contains.
function matching({ text, model, role, status, slower, dearer, limit }) {
  const wanted = text.toLowerCase();
  const rows = wanted ? said(wanted) : all();
  return rows.filter((row) => (!model || row.model === model) && (!role || row.role === role) && (!status || row.status === status) && (!slower || row.execution_time >= +slower)
    && (!+dearer || (row.cost !== null && row.cost >= +dearer))).sort((a, b) => b.timestamp - a.timestamp).slice(0, limit);
}

function all() {
  const { columns } = file.answers["run/calls"];
  return (columns.span_id || []).map((_, at) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[at]])));
}

function said(wanted) {
  const found = [];
  for (const one of Object.values(file.individuals)) one.calls.forEach((call, at) => {
    const text = [call.response, ...call.messages.map(([, each]) => each)].find((each) => each.toLowerCase().includes(wanted));
    if (text !== undefined) found.push({ ...call, span_id: `${one.individual_id} ${at}`, excerpt: text.substr(Math.max(0, text.toLowerCase().indexOf(wanted) - 60), 160) });
  });
  return found;
}
