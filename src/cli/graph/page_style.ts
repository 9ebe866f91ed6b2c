/** The page's own style; light or dark as the reader's system is. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --text: #1c1e21; --faint: #6a7078; --line: #d9dce1; --box: #f6f7f9;
  --products: #2f6fde; --attention: #b4540a; --rows: #7a3fc4; --elementwise: #27804a; --wire: #8b929c; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --text: #e4e6ea; --faint: #99a0aa; --line: #343941; --box: #1f2228;
  --products: #74a5ff; --attention: #f0a35e; --rows: #c39bff; --elementwise: #6fce93; --wire: #737b87; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1.5rem; background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.35rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; } p { color: var(--faint); margin: .25rem 0 1rem; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; color: var(--faint); font-size: 13px; }
.plain td, .plain th { padding: .2rem 1.5rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.of, .gives { font-family: ui-monospace, monospace; font-size: 12.5px; }
.launches { width: 100%; table-layout: fixed; }
.launches td, .launches th { height: 32px; padding: 0 .6rem 0 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.launches td:not(.wires) { border-bottom: 1px solid var(--line); }
.launches td.wires { padding: 0; vertical-align: top; }
svg { display: block; } circle { fill: var(--own); } .bar, .key { background: var(--own); } .wire { fill: none; stroke: var(--wire); stroke-width: 1.4; } .back { stroke-dasharray: 3 3; }
.kind { display: inline-block; border-left: 4px solid var(--own); padding: 0 .5rem; font-weight: 600; font-size: 13px; background: var(--box); border-radius: 3px; }
.products { --own: var(--products); }
.attention { --own: var(--attention); }
.rows { --own: var(--rows); }
.elementwise { --own: var(--elementwise); }
.of, .gives { color: var(--faint); }
.bar { height: 8px; border-radius: 2px; min-width: 1px; }
details.unit { border: 1px solid var(--line); border-radius: 8px; margin: .25rem 0; background: var(--ground); }
details.unit > summary { cursor: pointer; padding: .55rem .9rem; background: var(--box); border-radius: 8px; font-weight: 600; }
details.unit > summary span { color: var(--faint); font-weight: 400; margin-left: .8rem; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin: 0 .35rem 0 1rem; }
details.whole > summary { cursor: pointer; color: var(--faint); }
`
