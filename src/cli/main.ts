#!/usr/bin/env node
import * as nodeModule from "node:module"

// Node keeps what it compiled of the modules from here on for the next start; before 22.8 it cannot.
const { enableCompileCache } = nodeModule as { enableCompileCache?(): unknown }
enableCompileCache?.()
if (process.env.MINERVA_DEBUG === "1") process.setSourceMapsEnabled(true)

const { run } = await import("./run.js")
await run(process.argv.slice(2))
