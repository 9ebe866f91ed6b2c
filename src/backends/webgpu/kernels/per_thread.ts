import { type Bindable, derive } from "../bindable.js"
import type { Declaration } from "../wgsl/declaration.js"
import { type Accessor, type Dispatch, dispatch, grid, type Param, type View, workgroupIndex } from "../dispatch.js"

const SIZE = 256

/** What a kernel over a {@link grid} has to know. */
export const BUILTINS =
  "@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32"

interface ThreadKernel<V extends string> {
  readonly label: string
  readonly views: Readonly<Record<V, View>>
  readonly params?: Readonly<Record<string, Param>>
  /** Threads; `params.n` in WGSL. */
  readonly n: Bindable<number>
  readonly uses?: readonly Declaration[]
  /** WGSL of what thread `i` does. */
  readonly body: (views: Readonly<Record<V, Accessor>>) => string
}

/** A thread for each of `n` things, such as the elements of a result. */
export function perThread<V extends string>({ label, views, params, n, uses, body }: ThreadKernel<V>): Dispatch {
  return dispatch<V>({
    label,
    views,
    params: { n, ...params },
    uses,
    workgroups: derive(n, (n) => grid(Math.ceil(n / SIZE))),
    code: (v) => /* wgsl */ `
@compute @workgroup_size(${SIZE})
fn main(${BUILTINS}) {
  let i = ${workgroupIndex} * ${SIZE}u + lid;
  if (i >= params.n) { return; }
  ${body(v)}
}`,
  })
}
