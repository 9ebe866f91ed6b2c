import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Environment, expandHome, hubHome } from "../checkpoint/node_hub.js"
import { HubError } from "./hub_error.js"

/** Where the Hub is and who asks. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string
  readonly token?: string
}

/**
 * The settings of the environment, as huggingface_hub reads them (constants.py, utils/_auth.py): HF_ENDPOINT; HF_TOKEN or
 * HUGGING_FACE_HUB_TOKEN, else the file HF_TOKEN_PATH, which is `token` in HF_HOME by default.
 *
 * @throws HubError `offline` where HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; `bad_setting`
 */
export async function hubSettings(env: Environment): Promise<HubSettings> {
  const offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].find((name) => isTrue(env[name]))
  if (offline) {
    const advice = `unset ${offline}, or copy the model into the cache from another machine`
    throw new HubError({ code: "offline", problem: `${offline} is set: nothing is fetched from the Hub`, advice })
  }
  const endpoint = (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "")
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    const advice = "give an address such as https://huggingface.co"
    throw new HubError({ code: "bad_setting", problem: `HF_ENDPOINT is no address: ${endpoint}`, advice })
  }
  const named = cleaned(env.HF_TOKEN) ?? cleaned(env.HUGGING_FACE_HUB_TOKEN)
  const path = expandHome(env.HF_TOKEN_PATH || join(hubHome(env), "token"))
  const token = named ?? cleaned(await readFile(path, "utf8").catch(() => undefined))
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    const where = named === undefined ? `the file ${path}` : "HF_TOKEN"
    const advice = "copy the token again from https://huggingface.co/settings/tokens"
    throw new HubError({ code: "bad_setting", problem: `${where} holds characters that no token has`, advice })
  }
  return { endpoint, token }
}

function isTrue(text: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(text?.trim() ?? "")
}

function cleaned(token: string | undefined): string | undefined {
  return token?.trim() || undefined
}
