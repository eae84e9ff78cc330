// One dashboard as a page, drawn with Grafana's published packages.
//
// In: `window.draw({board, frames: {panelId: [frame]}, vars, from, to, width})`, a dashboard's JSON and the answers to its queries.
// Out: the page, and a promise of {findings, panels}: what is wrong, and what each panel holds. Grafana's own here: field overrides,
// units, links and their variables, legends' names, and the drawing of time series, trends, tables and stats. Grafana publishes
// neither its bar, XY and graph panels nor its trace view: those are drawn plainly, and their fields are checked like all others.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { firstValueFrom } from 'rxjs';
import * as D from '@grafana/data';
import { BigValue, GlobalStyles, TimeSeries } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { EmbeddedScene, SceneFlexLayout, SceneTimeRange, SceneVariableSet, TestVariable, sceneGraph } from '@grafana/scenes';

const theme = D.createTheme({ colors: { mode: 'dark' } });
const ROW = 38; // pixels of a grid unit: 30, and 8 between two
const say = [];
window.addEventListener('error', (event) => say.push(['', 'error', String(event.message)]));

// --- what Grafana's server part would set up ---

const standard = {
  unit: D.unitOverrideProcessor,
  links: D.dataLinksOverrideProcessor,
  mappings: D.valueMappingsOverrideProcessor,
  thresholds: D.thresholdsOverrideProcessor,
  min: D.numberOverrideProcessor,
  max: D.numberOverrideProcessor,
  decimals: D.numberOverrideProcessor,
  displayName: D.displayNameOverrideProcessor,
  noValue: D.stringOverrideProcessor,
  color: D.identityOverrideProcessor,
  description: D.stringOverrideProcessor,
};

const WITH_VARIABLES = new Set(['displayName', 'custom.axisLabel']);

function option(id, path, custom, process) {
  return {
    id, path, name: id, isCustom: custom, process, shouldApply: () => true, hideFromOverrides: false, override: null, editor: null,
    settings: WITH_VARIABLES.has(id) ? { expandTemplateVars: true } : {},
  };
}

function registry(panel) {
  const config = panel.fieldConfig ?? {};
  const custom = new Set(Object.keys(config.defaults?.custom ?? {}));
  for (const override of config.overrides ?? []) {
    for (const { id } of override.properties) if (id.startsWith('custom.')) custom.add(id.slice('custom.'.length));
  }
  return new D.FieldConfigOptionsRegistry(() => [
    ...Object.entries(standard).map(([id, process]) => option(id, id, false, process)),
    ...[...custom].map((path) => option(`custom.${path}`, path, true, path === 'axisLabel' ? D.stringOverrideProcessor : (value) => value)),
  ]);
}

D.standardFieldConfigEditorRegistry.setInit(() => Object.entries(standard).map(([id, process]) => option(id, id, false, process)));
D.standardEditorsRegistry.setInit(() => []);
const transformers = new Map(Object.values(D.standardTransformers).map((each) => [each.id, each]));
D.standardTransformersRegistry.setInit(() => [...transformers.values()].map((each) => ({ id: each.id, name: each.name, transformation: async () => each, editor: null })));

const LINES = ['timeseries', 'trend'];
const PALETTE = [...LINES, 'xychart', 'barchart'];

// What a panel has before anything is said of it.
function withDefaults(panel) {
  const config = panel.fieldConfig ?? {};
  const points = LINES.includes(panel.type) ? { showPoints: 'auto', pointSize: 5 } : {};
  return {
    ...panel,
    options: panel.options ?? {},
    fieldConfig: {
      overrides: config.overrides ?? [],
      defaults: {
        color: { mode: PALETTE.includes(panel.type) ? 'palette-classic' : 'thresholds' },
        thresholds: { mode: 'absolute', steps: [{ value: null, color: 'green' }, { value: 80, color: 'red' }] },
        ...config.defaults,
        custom: { ...points, ...config.defaults?.custom },
      },
    },
  };
}

// Grafana's transformation of that name is part of its server's bundle: a frame for each value, named by labels.
function partitioned(frames, options) {
  return frames.flatMap((frame) => {
    const by = options.fields.map((name) => frame.fields.find((field) => field.name === name)).filter(Boolean);
    if (!by.length || !frame.length) return [frame];
    const parts = new Map();
    for (let i = 0; i < frame.length; i++) {
      const key = JSON.stringify(by.map((field) => field.values[i]));
      parts.set(key, [...(parts.get(key) ?? []), i]);
    }
    return [...parts.values()].map((rows) => {
      const labels = Object.fromEntries(by.map((field) => [field.name, String(field.values[rows[0]])]));
      const kept = frame.fields.filter((field) => options.keepFields || !by.includes(field));
      return D.toDataFrame({
        refId: frame.refId,
        name: options.naming?.asLabels ? '' : Object.values(labels).join(' '),
        fields: kept.map((field) => ({ ...field, state: null, labels, values: rows.map((i) => field.values[i]) })),
      });
    });
  });
}

async function transformed(panel, frames, find) {
  let now = frames;
  for (const config of panel.transformations ?? []) {
    if (config.id === 'partitionByValues') now = partitioned(now, config.options);
    else if (transformers.has(config.id)) now = await firstValueFrom(D.transformDataFrame([config], now));
    else find('unknown transformation', config.id);
  }
  return now;
}

// --- what is checked ---

const UNITS = new Set(D.getValueFormats().flatMap((category) => category.submenu.map((unit) => unit.value)));
const FREE_UNIT = /^(prefix|suffix|currency|time|si|count|bool):/;

const matcherIsKnown = ({ id }) => Boolean(D.fieldMatchers.getIfExists(id));

function checkNames(panel, find) {
  const known = (unit) => UNITS.has(unit) || FREE_UNIT.test(unit);
  const { defaults, overrides } = panel.fieldConfig;
  if (defaults.unit && !known(defaults.unit)) find('unknown unit', defaults.unit);
  for (const { matcher, properties } of overrides) {
    if (!matcherIsKnown(matcher)) find('unknown matcher', matcher.id);
    for (const { id, value } of properties) if (id === 'unit' && !known(value)) find('unknown unit', value);
  }
  for (const calc of [...(panel.options.reduceOptions?.calcs ?? []), ...(panel.options.legend?.calcs ?? [])]) {
    if (!D.fieldReducers.getIfExists(calc)) find('unknown reducer', calc);
  }
}

// A matcher by a pattern is for whatever comes; one by a name means a field, which has to be there once there are rows.
function checkOverrides(panel, data, find) {
  const names = data.flatMap((frame) => frame.fields.map((field) => D.getFieldDisplayName(field, frame, data)));
  if (!data.some((frame) => frame.length)) return;
  for (const { matcher } of panel.fieldConfig.overrides) {
    const matches = D.fieldMatchers.get(matcher.id).get(matcher.options);
    if (!data.some((frame) => frame.fields.some((field) => matches(field, frame, data)))) {
      find('override matches no field', matcher.options, [...new Set(names)].join(', '));
    }
  }
}

function checkCells(panel, data, find) {
  const empty = panel.fieldConfig.defaults.noValue;
  let links = 0;
  for (const frame of data) {
    for (const field of frame.fields) {
      const hidden = field.config.custom?.hidden || field.config.custom?.hideFrom?.viz;
      for (let i = 0; i < frame.length; i++) {
        const shown = field.display ? D.formattedValueToString(field.display(field.values[i])) : String(field.values[i] ?? '');
        if (panel.type === 'table' && !hidden && empty && shown === empty) {
          find('cell shows the text of an empty panel', field.name, empty);
        }
        // An empty cell has nothing to click on.
        if (!field.config.links?.length || !shown || shown === empty || hidden) continue;
        for (const link of field.getLinks?.({ valueRowIndex: i }) ?? []) {
          links += 1;
          if (/\$\{|\$__|undefined|(var-\w+|from|to)=(&|$)/.test(link.href)) find('variable of a link not filled in', field.name, link.href);
        }
      }
    }
  }
  return links;
}

// Tables that were given rows and show none.
function undrawn() {
  return [...document.querySelectorAll('[data-table]')].filter((each) => !each.querySelector('[role="gridcell"]')).map((each) => each.dataset.table);
}

// A heading that begins before its cell, or ends behind it, is not read.
function checkHeadings() {
  for (const cell of document.querySelectorAll('[role="columnheader"]')) {
    const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
    if (!text) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    const [inner, outer] = [range.getBoundingClientRect(), cell.getBoundingClientRect()];
    const title = cell.closest('[data-title]')?.dataset.title ?? '';
    if (inner.left < outer.left || inner.right > outer.right) say.push([title, 'heading is cut', text.textContent, Math.round(outer.width)]);
  }
}

// --- panels ---

function Empty({ panel }) {
  return <div style={{ padding: 20, opacity: 0.6 }}>{panel.fieldConfig.defaults.noValue}</div>;
}

function Stat({ panel, data, width, height, interpolate, found }) {
  const values = D.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: interpolate, theme, data, timeZone: 'utc',
  });
  found.values = values.map(({ display }) => [display.title, D.formattedValueToString(display)]);
  const named = panel.options.textMode === 'value_and_name';
  return (
    <div style={{ display: 'flex' }}>
      {values.map(({ display }, i) => (
        <BigValue key={i} value={named ? display : { ...display, title: undefined }} width={width / values.length} height={height}
          theme={theme} colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} textMode={panel.options.textMode}
          text={panel.options.text} disableWideLayout={!panel.options.wideLayout} />
      ))}
    </div>
  );
}

function Lines({ panel, data, width, height, range, find, found }) {
  let frames = data.filter((frame) => frame.length && frame.fields.some((field) => field.type === 'number'));
  if (!frames.length) return <Empty panel={panel} />;
  const x = panel.type === 'trend' ? panel.options.xField : undefined;
  if (x) {
    const [frame] = frames;
    const axis = frame.fields.find((field) => field.name === x);
    if (!axis) {
      find('x field is missing', x);
      return <Empty panel={panel} />;
    }
    if (axis.values.some((value, i) => i && value < axis.values[i - 1])) find('x does not rise', x);
    frames = [{ ...frame, fields: [axis, ...frame.fields.filter((field) => field !== axis)] }];
  }
  let series = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      if (field.type !== 'number' || field.name === x) continue;
      field.state = { ...field.state, seriesIndex: series++ };
      field.display = D.getDisplayProcessor({ field, theme });
    }
  }
  found.series = frames.flatMap((frame) =>
    frame.fields.filter((field) => field.type === 'number' && field.name !== x).map((field) => D.getFieldDisplayName(field, frame, frames)));
  const fields = x ? { x: D.fieldMatchers.get('byName').get(x), y: D.fieldMatchers.get('numeric').get({}) } : undefined;
  return <TimeSeries frames={frames} structureRev={1} width={width} height={height} timeRange={range} timeZone="utc"
    legend={panel.options.legend} options={panel.options} {...(fields ? { fields } : {})} />;
}

function Table({ panel, data, width, height, range, found }) {
  const [frame] = data;
  if (!frame?.length) return <Empty panel={panel} />;
  const visible = frame.fields.filter((field) => !field.config.custom?.hidden && !field.config.custom?.hideFrom?.viz);
  found.rows = frame.length;
  found.columns = visible.map((field) => D.getFieldDisplayName(field, frame));
  return (
    <div data-table={panel.title}>
      <TableNG data={frame} width={width} height={height} cellHeight={panel.options.cellHeight} structureRev={1} timeRange={range}
        fieldConfig={panel.fieldConfig} noValue={panel.fieldConfig.defaults.noValue} getActions={() => []} />
    </div>
  );
}

function Bars({ panel, data, width }) {
  const [frame] = data;
  if (!frame?.length) return <Empty panel={panel} />;
  const number = frame.fields.find((field) => field.type === 'number');
  const most = Math.max(...number.values, 1e-9);
  return frame.fields[0].values.map((name, i) => (
    <div key={i} style={{ margin: 6 }}>
      {String(name)} {D.formattedValueToString(number.display(number.values[i]))}
      <div style={{ background: '#5794f2', height: 12, width: Math.max(1, ((width - 20) * number.values[i]) / most) }} />
    </div>
  ));
}

function Scatter({ panel, data, width, height, found }) {
  const series = data.flatMap((frame) => {
    const [x, ...ys] = frame.fields.filter((field) => field.type === 'number');
    return ys.map((y) => ({ frame, x, y, name: D.getFieldDisplayName(y, frame, data) }));
  }).filter(({ frame }) => frame.length);
  if (!series.length) return <Empty panel={panel} />;
  found.series = series.map(({ name }) => name);
  const all = (pick) => series.flatMap(pick).filter((value) => typeof value === 'number');
  const [xs, ys] = [all(({ x }) => x.values), all(({ y }) => y.values)];
  const scale = (values, from, to) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (value) => from + ((to - from) * (value - low)) / (high - low || 1);
  };
  const [px, py] = [scale(xs, 50, width - 20), scale(ys, height - 60, 20)];
  return (
    <svg width={width} height={height} style={{ font: '11px sans-serif' }}>
      {series.map(({ x, y, name }, i) => {
        const color = y.config.color?.mode === 'fixed' ? y.config.color.fixedColor : theme.visualization.palette[i % theme.visualization.palette.length];
        const drawn = theme.visualization.getColorByName(color);
        const points = x.values.map((value, k) => [value, y.values[k]]).filter(([a, b]) => typeof a === 'number' && typeof b === 'number');
        return (
          <g key={i}>
            {y.config.custom?.show !== 'points' && <polyline fill="none" stroke={drawn} points={points.map(([a, b]) => `${px(a)},${py(b)}`).join(' ')} />}
            {points.map(([a, b], k) => <circle key={k} cx={px(a)} cy={py(b)} r={(y.config.custom?.pointSize?.fixed ?? 5) / 2} fill={drawn} fillOpacity=".5" stroke={drawn} />)}
            {i < 9 && <text x={60 + (i % 3) * (width / 3)} y={height - 26 + 12 * Math.floor(i / 3)} fill={drawn}>{name}</text>}
          </g>
        );
      })}
      <text x={50} y={height - 42} fill="#ccc">{`${series[0].x.config.custom?.axisLabel ?? series[0].x.name}: ${Math.min(...xs)} … ${Math.max(...xs)}`}</text>
      <text x={2} y={12} fill="#ccc">{`${series[0].y.config.custom?.axisLabel ?? ''} ${Math.min(...ys).toPrecision(4)} … ${Math.max(...ys).toPrecision(4)}`}</text>
    </svg>
  );
}

function Other({ panel, data, found }) {
  found.frames = data.map((frame) => [frame.refId, frame.length]);
  return <div style={{ padding: 20, opacity: 0.6 }}>{`${data.map((frame) => `${frame.refId}: ${frame.length} rows`).join(', ')} (${panel.type}: not drawn here)`}</div>;
}

const KINDS = { stat: Stat, timeseries: Lines, trend: Lines, table: Table, barchart: Bars, xychart: Scatter };

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error };
  }
  componentDidCatch(error) {
    this.props.find('threw', String(error?.stack ?? error).slice(0, 400));
  }
  render() {
    return this.state.error ? <pre>{String(this.state.error)}</pre> : this.props.children;
  }
}

async function prepared(panel, frames, interpolate, panels) {
  const find = (...what) => {
    if (!say.some((one) => one[0] === panel.title && one[1] === what[0] && one[2] === what[1])) say.push([panel.title, ...what]);
  };
  const full = withDefaults(panel);
  checkNames(full, find);
  full.fieldConfig.overrides = full.fieldConfig.overrides.filter(({ matcher }) => matcherIsKnown(matcher));
  const data = D.applyFieldOverrides({
    data: await transformed(full, frames.map((frame) => D.toDataFrame(frame)), find), fieldConfig: full.fieldConfig, fieldConfigRegistry: registry(full),
    replaceVariables: interpolate, theme, timeZone: 'utc',
  });
  checkOverrides(full, data, find);
  const found = { title: panel.title, type: panel.type, links: checkCells(full, data, find) };
  panels.push(found);
  return { panel: full, data, find, found };
}

function place(grid, width) {
  return {
    position: 'absolute', left: (grid.x / 24) * width + 4, top: grid.y * ROW + 4, width: (grid.w / 24) * width - 8, height: grid.h * ROW - 8,
    background: '#181b1f', border: '1px solid #333', borderRadius: 3, overflow: 'hidden',
  };
}

function Panel({ made, width, range, interpolate }) {
  const { panel, data, find, found } = made;
  const box = place(panel.gridPos, width);
  const Kind = KINDS[panel.type] ?? Other;
  return (
    <div style={box} data-title={panel.title}>
      <div style={{ padding: '6px 8px', fontWeight: 500 }} title={panel.description}>{interpolate(panel.title)}</div>
      <div style={{ padding: '0 8px' }}>
        <Guard find={find}>
          <Kind panel={panel} data={data} width={box.width - 18} height={box.height - 42} range={range} interpolate={interpolate} find={find} found={found} />
        </Guard>
      </div>
    </div>
  );
}

// As Grafana's grid: from above to below, each panel as high as those above let it.
function compacted(panels) {
  const ends = new Array(24).fill(0);
  return panels.map((panel) => {
    const { x, w, h } = panel.gridPos;
    const y = Math.max(...ends.slice(x, x + w));
    ends.fill(y + h, x, x + w);
    return { ...panel, gridPos: { ...panel.gridPos, y } };
  });
}

// Rows that start collapsed hold their panels: they are opened, and what is below moves down.
function opened(panels) {
  let moved = 0;
  return compacted([...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x).flatMap((panel) => {
    const at = (each, by) => ({ ...each, gridPos: { ...each.gridPos, y: each.gridPos.y + by } });
    const within = panel.type === 'row' ? panel.panels ?? [] : [];
    const here = [at(panel, moved), ...within.map((each) => at(each, moved))];
    if (within.length) moved += Math.max(...within.map(({ gridPos }) => gridPos.y + gridPos.h)) - (panel.gridPos.y + 1);
    return here;
  }));
}

// Widths are measured as texts are drawn, so the fonts have to be there before the first of them.
const styles = document.createElement('div');
document.body.append(styles);
createRoot(styles).render(<D.ThemeContext.Provider value={theme}><GlobalStyles /></D.ThemeContext.Provider>);
const fonts = new Promise((resolve) => setTimeout(resolve, 100)).then(() => Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 14px Inter`))));

let root;

window.draw = async ({ board, frames, vars, from, to, width }) => {
  await fonts;
  root?.unmount();
  say.length = 0;
  const [start, end] = [D.dateTime(from), D.dateTime(to)];
  const range = { from: start, to: end, raw: { from: start, to: end } };
  const variables = Object.entries(vars).map(([name, value]) =>
    new TestVariable({ name, value, text: value, isMulti: Array.isArray(value), query: '', optionsToReturn: [], skipUrlSync: true }));
  const scene = new EmbeddedScene({
    $timeRange: new SceneTimeRange({ from: start.toISOString(), to: end.toISOString() }),
    $variables: new SceneVariableSet({ variables }),
    body: new SceneFlexLayout({ children: [] }),
  });
  const interpolate = (text, scoped, format) => sceneGraph.interpolate(scene, text, scoped, format);
  const panels = [];
  const shown = await Promise.all(opened(board.panels).map((panel) =>
    ['row', 'text'].includes(panel.type) ? { panel } : prepared(panel, frames[panel.id] ?? [], interpolate, panels)));
  const height = Math.max(...shown.map(({ panel }) => panel.gridPos.y + panel.gridPos.h)) * ROW + 20;
  const element = document.getElementById('root');
  Object.assign(document.body.style, { margin: 0, background: '#111217', color: '#ccccdc', font: '14px Inter, Helvetica, Arial, sans-serif', width: `${width}px` });
  root = createRoot(element);
  root.render(
    <D.ThemeContext.Provider value={theme}>
      <div style={{ position: 'relative', width, height }}>
        {shown.map((made) => {
          const { panel } = made;
          if (panel.type === 'row') {
            return <div key={panel.id} style={{ position: 'absolute', left: 8, top: panel.gridPos.y * ROW + 10, fontWeight: 600 }}>{`${panel.collapsed ? '▸' : '▾'} ${panel.title}`}</div>;
          }
          if (panel.type === 'text') return <div key={panel.id} style={{ ...place(panel.gridPos, width), whiteSpace: 'pre-wrap', overflow: 'auto' }}>{panel.options.content}</div>;
          return <Panel key={panel.id} made={made} width={width} range={range} interpolate={interpolate} />;
        })}
      </div>
    </D.ThemeContext.Provider>,
  );
  // Charts draw in the frames after the page is there; tables, once they know their size: on a busy machine, later.
  await new Promise((resolve) => setTimeout(resolve, 700));
  for (let waited = 0; waited < 20000 && undrawn().length; waited += 100) await new Promise((resolve) => setTimeout(resolve, 100));
  for (const title of undrawn()) say.push([title, 'table is not drawn']);
  checkHeadings();
  return { findings: [...say], panels, height };
};
