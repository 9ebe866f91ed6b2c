import type { ModelCard } from "../served_model.js"

/** What `GET /props` tells of a model, which need not be loaded for it. */
export function properties({ name, max_context, loaded }: ModelCard, version: string): object {
  return {
    default_generation_settings: {
      n_ctx: max_context,
      params: {
        n_predict: -1,
        max_tokens: -1,
        seed: -1,
        temperature: 1,
        top_k: 0,
        top_p: 1,
        min_p: 0,
        repeat_penalty: 1,
        presence_penalty: 0,
        frequency_penalty: 0,
        stop: [],
        stream: false,
      },
    },
    total_slots: 1,
    model_alias: name,
    model_path: name,
    // There is none: conversations are written in harmony, see POST /apply-template.
    chat_template: "",
    chat_template_caps: {
      supports_object_arguments: true,
      supports_parallel_tool_calls: true,
      supports_preserve_reasoning: true,
      supports_string_content: true,
      supports_system_role: true,
      supports_tool_calls: true,
      supports_tools: true,
      supports_typed_content: true,
    },
    modalities: { vision: false, audio: false },
    build_info: `minerva ${version}`,
    is_sleeping: !loaded,
  }
}
