import { stat } from "node:fs/promises"
import { join } from "node:path"
import { findModel } from "../checkpoint/node_find_model.js"
import type { LanguageModel } from "../engine/model.js"
import { type LoadModelOptions, loadModel } from "../engine/node_model.js"
import { LocalModel } from "./local_model.js"
import { RequestError } from "./request_error.js"
import type { HeldModel, ModelCard, ModelDirectory, ServedLoad } from "./served_model.js"

/** One model, in this process: loaded at once, and until the end. */
export class LocalModels implements ModelDirectory {
  isLoaded = false
  /** Rejects when it cannot be loaded. */
  readonly loading: Promise<LanguageModel>

  private constructor(
    readonly name: string,
    private readonly created: number,
    path: string,
    options: LoadModelOptions,
  ) {
    this.loading = loadModel(path, options)
    this.loading.then(
      () => {
        this.isLoaded = true
      },
      () => {},
    )
  }

  /** Finds the model, and begins to load it. @throws {CheckpointError} where there is none */
  static async open(path: string, options: LoadModelOptions): Promise<LocalModels> {
    const { name, folder } = await findModel(path)
    const { mtimeMs } = await stat(join(folder, "config.json")).catch(() => ({ mtimeMs: 0 }))
    return new LocalModels(name, Math.floor(mtimeMs / 1000), path, options)
  }

  async list(): Promise<readonly ModelCard[]> {
    const { weight_bytes, max_context, model_type } = (await this.loading).info
    const { name, created } = this
    return [{ name, created, bytes: weight_bytes, quantization: null, max_context, model_type, loaded: true }]
  }

  async hold(name = this.name): Promise<HeldModel> {
    if (name !== this.name) {
      const message = `no model is named ${name.slice(0, 200)}: there is ${this.name}`
      throw new RequestError("not_found", message, { param: "model", code: "model_not_found" })
    }
    return { model: new LocalModel(await this.loading), release: () => {} }
  }

  async loads(): Promise<ReadonlyMap<string, ServedLoad>> {
    if (!this.isLoaded) return new Map()
    return new Map([[this.name, await new LocalModel(await this.loading).load()]])
  }

  async close(): Promise<void> {
    const model = await this.loading.catch(() => null)
    await model?.close()
  }
}
