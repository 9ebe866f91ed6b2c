import type { ModelDirectory, ServedModel } from "../served_model.js"

/** Goes after whoever waits for an answer. */
const LOW = -1

/** The same models for those who have time: what others ask of them goes first. */
export function lowPriority(models: ModelDirectory): ModelDirectory {
  return {
    list: () => models.list(),
    loads: () => models.loads(),
    async hold(name, signal) {
      const { model, release } = await models.hold(name, signal)
      const patient: ServedModel = {
        info: model.info,
        chat: (messages, options) => model.chat(messages, { ...options, priority: LOW }),
        generate: (prompt, options) => model.generate(prompt, { ...options, priority: LOW }),
        render: (messages, params) => model.render(messages, params),
        tokenize: (text, special) => model.tokenize(text, special),
        detokenize: (ids) => model.detokenize(ids),
        load: () => model.load(),
      }
      return { model: patient, release: () => release() }
    },
  }
}
