import type { Edge } from "../../graph/view/edges.js"
import type { Family } from "./family.js"

/** Of a row of the table with its border, as in the page's style. */
const HEIGHT = 33
export const WIDTH = 76
const LANE = 8

/**
 * Dots under each other, one a row, and wires between them: straight to the next row, else around in a lane of its own.
 * What is read from rows above or below this table comes in from its edge.
 */
export function wires(families: readonly Family[], edges: readonly Edge[]): string {
  const x = WIDTH - 10
  const y = (row: number) => (Math.max(-0.5, Math.min(row, families.length - 0.5)) + 0.5) * HEIGHT
  const lanes: number[] = [] // where each lane is free again
  const sorted = [...edges].sort((a, b) => Math.min(a.from, a.to) - Math.min(b.from, b.to))
  const paths = sorted.map(({ from, to, isBack }) => {
    const style = `class="wire${isBack ? " back" : ""}"`
    if (!isBack && (from === to - 1 || (from < 0 && to === 0))) return `<path ${style} d="M${x} ${y(from)}V${y(to)}"/>`
    const [top, bottom] = [Math.max(-1, Math.min(from, to)), Math.max(from, to)]
    const free = lanes.findIndex((end) => end <= top)
    const lane = free < 0 ? lanes.length : free
    lanes[lane] = bottom
    const left = Math.max(2, x - 10 - lane * LANE)
    if (top < 0) return `<path ${style} d="M${left} 0V${y(bottom) - 8}Q${left} ${y(bottom)} ${x} ${y(bottom)}"/>`
    const [a, b] = [y(top), y(bottom)]
    return `<path ${style} d="M${x} ${a}Q${left} ${a} ${left} ${a + 8}V${b - 8}Q${left} ${b} ${x} ${b}"/>`
  })
  const dots = families.map((family, row) => `<circle class="${family}" cx="${x}" cy="${y(row)}" r="4.5"/>`)
  return `<svg width="${WIDTH}" height="${families.length * HEIGHT}">${paths.join("")}${dots.join("")}</svg>`
}
