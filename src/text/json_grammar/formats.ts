const TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
const LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
const DATE =
  "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))" +
  `|${LEAP}-02-29)`
const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
const OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
const H = "[0-9A-Fa-f]{1,4}"
const IPV6 = [
  `(${H}:){7}${H}`,
  ...Array.from({ length: 7 }, (_, i) => {
    const [before, after] = [i, 6 - i]
    const left = before === 0 ? ":" : `(${H}:){1,${before}}`
    return after === 0 ? `(${H}:){1,7}:` : `${left}:${H}(:${H}){0,${after - 1}}`
  }),
  "::",
].join("|")

/**
 * What strings of a format look like, as patterns: RFC 3339 (date, time, date-time; no leap seconds), RFC 5321 (email: an
 * unquoted name), RFC 1123 (hostname: up to four labels), RFC 2673 (ipv4), RFC 4291 (ipv6), RFC 4122 (uuid).
 */
export const FORMATS: ReadonlyMap<string, string> = new Map([
  ["date", `^${DATE}$`],
  ["time", `^${TIME}$`],
  ["date-time", `^${DATE}T${TIME}$`],
  ["email", `^[A-Za-z0-9_%+-]+(\\.[A-Za-z0-9_%+-]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*\\.)+[A-Za-z]{2,24}$`],
  ["hostname", `^${LABEL}(\\.${LABEL}){0,3}$`],
  ["ipv4", `^(${OCTET}\\.){3}${OCTET}$`],
  ["ipv6", `^(${IPV6})$`],
  ["uuid", "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"],
])
