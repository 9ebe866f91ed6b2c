import type { ModelCard, ModelDirectory } from "../served_model.js"
import { ModelNames } from "./model_names.js"

/**
 * The card of a model by any of its names.
 *
 * @param name undefined: the first
 * @throws {RequestError} `not_found`, saying what there is
 */
export async function cardOf(models: ModelDirectory, name: string | undefined): Promise<ModelCard> {
  return new ModelNames((await models.list()).map((card) => [[card.name], card])).find(name)
}
