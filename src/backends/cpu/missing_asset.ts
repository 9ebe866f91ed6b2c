/**
 * What to say of a file of this package that is opened at run time and is not there, as in a bundle that was made without.
 * Whoever opens one writes `new URL("./file", import.meta.url)` out at that place: bundlers look for this and take the file along.
 */
export function missingAsset(file: string): string {
  return (
    `${file} is missing: bundles of minerva-mlx need dist/src/backends/cpu/*.wasm and a bundled node_worker.js (in browsers ` +
    "web_worker.js) beside them, or minerva-mlx as an external package; in a checkout, npm run build makes the files"
  )
}
