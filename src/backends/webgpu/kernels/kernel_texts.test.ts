import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { OPERATIONS } from "../../../ir/operations.js"
import { kernelTexts, kindsOfTexts } from "../../../../test/backends/webgpu/kernels/kernel_texts.js"

/** Written anew by `npx tsc && npx vitest run -u dist/src/backends/webgpu/kernels/kernel_texts`. */
const SNAPSHOTS = fileURLToPath(new URL("../../../../../test/backends/webgpu/kernels/snapshots/", import.meta.url))

const texts = await kernelTexts()
const fileOf = (name: string) => `${name.replaceAll(/[, ]+/g, "-")}.wgsl`

it.each(texts)("the text of $name is as reviewed", async ({ name, kernels }) => {
  const file = kernels.map(({ label, code }) => `// == ${label}\n${code}\n`).join("\n")
  await expect(file).toMatchFileSnapshot(`${SNAPSHOTS}${fileOf(name)}`)
})

it("there is a text of every operation, and none of what is no more", () => {
  expect([...kindsOfTexts()].sort()).toEqual(Object.keys(OPERATIONS).sort())
  const names = new Set(texts.map(({ name }) => fileOf(name)))
  expect(readdirSync(SNAPSHOTS).filter((file) => !names.has(file))).toEqual([])
})
