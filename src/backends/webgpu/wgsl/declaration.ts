/** Extensions of WGSL that kernels enable, in the order of their directives. */
const EXTENSIONS = ["f16", "subgroups", "chromium_experimental_subgroup_matrix"] as const
export type Extension = (typeof EXTENSIONS)[number]

/** WGSL at module scope that kernels share, such as a function, with what it needs elsewhere in a kernel. */
export interface Declaration {
  readonly text: string
  readonly needs?: readonly Declaration[]
  readonly enable?: readonly Extension[]
}

/** Declarations and what they need, each text once; and the extensions of all of them. */
export function gather(declarations: readonly Declaration[]): { texts: string[]; enable: Extension[] } {
  const texts = new Set<string>()
  const enable = new Set<Extension>()
  const add = ({ text, needs = [], enable: extensions = [] }: Declaration) => {
    for (const need of needs) add(need)
    texts.add(text)
    for (const extension of extensions) enable.add(extension)
  }
  for (const declaration of declarations) add(declaration)
  return { texts: [...texts], enable: EXTENSIONS.filter((extension) => enable.has(extension)) }
}
