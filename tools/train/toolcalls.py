"""Tool use: many tools under many names, a call with JSON arguments, the answer after the result, and knowing when no tool fits."""

import json

from arithmetic import Turn, reply
from harmony import analysis, call, final, tool_result, user
from words import (ADJECTIVES, CITIES, COLORS, CURRENCIES, FOODS, LANGUAGES, NOUNS, THINGS, TOPICS, VERBS, WEEKDAYS, city, is_held_out, made_up, person, pick)


class Tool:
  """One way to offer a function: its JSON definition, and the name each argument goes by."""

  def __init__(self, name, definition, keys):
    self.name, self.definition, self.keys = name, definition, keys


def _parameter(rng, kind, description, values=None):
  schema = {"type": {"int": rng.choice(("integer", "number")), "float": "number", "text": "string", "bool": "boolean", "enum": "string"}[kind]}
  if description and rng.random() < 0.5:
    schema["description"] = pick(rng, description)
  if kind == "enum":
    schema["enum"] = list(values)
  return schema


def offer(rng, names, descriptions, parameters):
  """A tool from alternatives. `parameters`: (role, "name|name", kind, "description|...", required, enum values)."""
  name = pick(rng, names)
  if rng.random() < 0.08:
    parts = name.split("_")
    name = parts[0] + "".join(p.capitalize() for p in parts[1:])
  definition = {"name": name, "description": pick(rng, descriptions)}
  if rng.random() < 0.06:
    definition["description"] = ""
  keys, properties, required = {}, {}, []
  for role, alternatives, kind, description, needed, values in parameters:
    free = [a for a in alternatives.split("|") if a not in properties]
    key = rng.choice(free)
    keys[role], properties[key] = key, _parameter(rng, kind, description, values)
    if needed:
      required.append(key)
  if parameters:
    definition["parameters"] = {"type": "object", "properties": properties}
    if required or rng.random() < 0.5:
      definition["parameters"]["required"] = required
  return Tool(name, definition, keys)


class Case:
  """A question for a tool: what is asked, with which arguments, what came back and what is then said."""

  def __init__(self, ask, arguments, result, answer, about):
    self.ask, self.arguments, self.result, self.answer, self.about = ask, arguments, result, answer, about


def _dump(rng, value):
  if isinstance(value, str):
    return value
  return json.dumps(value, ensure_ascii=False) if rng.random() < 0.5 else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


SKIES = "sunny cloudy rainy windy foggy snowy stormy clear".split() + ["light rain", "heavy rain", "partly cloudy", "light snow", "a thunderstorm"]


def _weather_result(rng, place, unit):
  degrees, sky = rng.randint(-15, 39), rng.choice(SKIES)
  if rng.random() < 0.2:
    sunny = rng.random() < 0.5
    return {"temperature": degrees, "sunny": sunny}, f"In {place} it is {degrees} degrees and {'sunny' if sunny else 'not sunny'}."
  if rng.random() < 0.15:
    return f"{degrees} degrees, {sky}", f"In {place} it is {degrees} degrees: {sky}."
  result = {rng.choice(("temperature", "temp", "temperature_c", "degrees")): degrees, rng.choice(("condition", "conditions", "description", "sky", "weather", "summary")): sky}
  if rng.random() < 0.3:
    result = {rng.choice(("city", "location", "place")): place, **result}
  if rng.random() < 0.2:
    result[rng.choice(("humidity", "wind"))] = rng.randint(5, 95)
  scale = ""
  if unit or rng.random() < 0.15:
    unit = unit or rng.choice(("celsius", "fahrenheit"))
    result["unit"] = unit
    scale = f" {unit.capitalize()}"
  return result, f"In {place} it is {degrees} degrees{scale}: {sky}."


def weather(rng, held_out):
  units = rng.random() < 0.4
  tool = offer(rng, "get_weather|get_weather|get_current_weather|lookup_weather|weather|fetch_weather|current_weather|weather_now",
               "Gets the current weather in the provided location.|Get the weather for a city.|Returns the current weather.|Looks up the weather in a place.|Use this tool to lookup the weather in a given location.|The weather in a city right now.",
               [("place", "city|location|place|town|city_name|where", "text", "The city|The city and state, e.g. San Francisco, CA|Name of the city|Where to look", True, None)]
               + ([("unit", "unit|format|units|scale", "enum", "The unit of temperature|Unit to use", False, ("celsius", "fahrenheit"))] if units else []))
  if units and rng.random() < 0.4:
    tool.definition["parameters"]["properties"][tool.keys["unit"]]["default"] = "celsius"

  def case():
    place = city(rng, held_out)
    arguments = {tool.keys["place"]: place}
    unit = rng.choice(("celsius", "fahrenheit")) if units and rng.random() < 0.5 else None
    ask = pick(rng, "What is the weather in {c}?|What's the weather in {c}?|What is the weather like in {c}?|How is the weather in {c}?|what's the weather like in {c}|weather in {c}|weather in {c}?|Is it raining in {c}?|Is it sunny in {c}?"
                    "|How warm is it in {c}?|How cold is it in {c} right now?|Tell me the weather in {c}.|What is the temperature in {c}?|Do I need an umbrella in {c}?|I am going to {c}. What is the weather?|Please check the weather in {c}."
                    "|What's the weather today in {c}?|What is the weather like in {c} today?|Can you look up the weather in {c}?|{c} weather").format(c=place)
    if unit:
      arguments[tool.keys["unit"]] = unit
      ask = ask.rstrip("?. ") + pick(rng, " in {u}?| in {u}|? Use {u}.|, in {u}, please|? In {u} please.").format(u=rng.choice((unit, unit.capitalize())))
    result, answer = _weather_result(rng, place, unit)
    return Case(ask, arguments, result, answer, f"the weather in {place}")
  return tool, case, "the weather"


def clock(rng, held_out):
  tool = offer(rng, "get_time|get_current_time|current_time|time_in|lookup_time|get_local_time|world_clock", "Gets the current time in a city.|Returns the local time.|Tells the time in a place.|Current time for a location.",
               [("place", "city|location|place|timezone|where", "text", "The city|Name of the city or place", True, None)])

  def case():
    place = city(rng, held_out)
    time = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
    ask = pick(rng, "What time is it in {c}?|What's the time in {c}?|what time is it in {c}|Tell me the time in {c}.|How late is it in {c}?|What is the local time in {c}?|time in {c}?|Current time in {c}|Can you tell me what time it is in {c}?").format(c=place)
    result = {rng.choice(("time", "local_time", "now", "current_time")): time} if rng.random() < 0.85 else time
    return Case(ask, {tool.keys["place"]: place}, result, f"In {place} it is {time}.", f"the time in {place}")
  return tool, case, "the time"


def _amount(rng):
  return rng.choice((rng.randint(1, 99), rng.randint(100, 999), rng.randint(1, 50) * 100, rng.randint(1, 20) * 5))


SPOKEN = {"USD": "dollars", "EUR": "euros", "GBP": "pounds", "JPY": "yen", "CHF": "francs"}


def currency(rng, held_out):
  tool = offer(rng, "convert_currency|currency_convert|exchange|convert_money|get_exchange|currency_converter", "Converts an amount from one currency to another.|Convert money between currencies.|Exchange rates.|Converts currency.",
               [("amount", "amount|value|sum", "float", "The amount to convert|How much", True, None), ("from", "from|from_currency|source|base", "text", "Currency code to convert from|Three-letter code", True, None),
                ("to", "to|to_currency|target|quote", "text", "Currency code to convert to|Three-letter code", True, None)])

  def case():
    while True:
      amount, (a, b) = _amount(rng), rng.sample(CURRENCIES, 2)
      if is_held_out(f"currency:{amount}:{a}:{b}") == held_out:
        break
    words = a in SPOKEN and b in SPOKEN and rng.random() < 0.4
    ask = pick(rng, "Convert {n} {a} to {b}.|How much is {n} {a} in {b}?|What is {n} {a} in {b}?|convert {n} {a} to {b}|{n} {a} in {b}?|How many {b} do I get for {n} {a}?|Exchange {n} {a} into {b}.|Please convert {n} {a} into {b}.|{n} {a} to {b}")
    got = rng.choice((rng.randint(1, 9999), rng.randint(10, 99999) / 100))
    result = {rng.choice(("result", "amount", "converted", "value")): got} if rng.random() < 0.6 else {"amount": got, "currency": b}
    return Case(ask.format(n=amount, a=SPOKEN[a] if words else a, b=SPOKEN[b] if words else b), {tool.keys["amount"]: amount, tool.keys["from"]: a, tool.keys["to"]: b}, result, f"{amount} {a} are {got} {b}.", f"{amount} {a} in {b}")
  return tool, case, "exchange rates"


def _topic(rng, held_out):
  while True:
    topic = rng.choice((rng.choice(TOPICS), f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}", f"how to {rng.choice(VERBS)} a {rng.choice(NOUNS)}", f"{made_up(rng)} {rng.choice(NOUNS)}", made_up(rng).capitalize(),
                        f"{rng.choice(NOUNS)} in {city(rng, held_out)}", f"{made_up(rng)} {made_up(rng)}"))
    if is_held_out(f"topic:{topic}") == held_out:
      return topic


def search(rng, held_out):
  limit = rng.random() < 0.2
  tool = offer(rng, "search|search_web|web_search|search_the_web|find|lookup|google|search_documents|search_notes", "Searches the web.|Search for information on a topic.|Looks up information.|Finds pages about a query.|Searches documents.",
               [("query", "query|q|text|topic|question|keywords", "text", "What to search for|The search query", True, None)] + ([("limit", "limit|max_results|count|top_n", "int", "How many results", False, None)] if limit else []))

  def case():
    topic = _topic(rng, held_out)
    arguments = {tool.keys["query"]: topic}
    ask = pick(rng, "Search for {t}.|Search the web for {t}.|search for {t}|Look up {t}.|Find information about {t}.|Please search for {t}.|Can you search for {t}?|Google {t}.|search {t}|Find {t}.|look up {t}|Do a search for {t}.").format(t=topic)
    if limit and rng.random() < 0.5:
      count = rng.randint(1, 20)
      arguments[tool.keys["limit"]] = count
      ask = ask.rstrip("?.") + f" and give me {count} results."
    title = f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {made_up(rng)}".capitalize()
    shape = rng.random()
    if shape < 0.15:
      return Case(ask, arguments, {"results": []}, f"The search for {topic} found nothing.", f"a search for {topic}")
    result = {"results": [title]} if shape < 0.5 else {"title": title} if shape < 0.75 else title
    return Case(ask, arguments, result, f"The search found: {title}", f"a search for {topic}")
  return tool, case, "the web"


def timer(rng, held_out):
  unit = rng.choice(("minutes", "seconds", "minutes"))
  tool = offer(rng, "set_timer|start_timer|timer|create_timer", "Starts a timer.|Sets a timer.|Start a countdown.", [("n", f"{unit}|duration_{unit}|time_in_{unit}", "int", f"Length in {unit}|How many {unit}", True, None)])

  def case():
    while True:
      n = rng.randint(1, 120)
      if is_held_out(f"timer:{n}") == held_out:
        break
    ask = pick(rng, "Set a timer for {n} {u}.|Start a timer for {n} {u}.|set a {n} {u} timer|Timer for {n} {u} please.|Wake me in {n} {u}.|Please set a timer: {n} {u}.|Start a {n} {u} countdown.").format(n=n, u=unit)
    ok = rng.choice(({"status": "ok"}, {"ok": True}, "ok", {"status": "started"}, {"success": True}))
    return Case(ask, {tool.keys["n"]: n}, ok, f"The timer is set for {n} {unit}.", f"a timer for {n} {unit}")
  return tool, case, "timers"


def message(rng, held_out):
  tool = offer(rng, "send_message|send_email|send_text|write_message|notify|send_sms", "Sends a message to a person.|Send a text to someone.|Sends an email.|Delivers a message.",
               [("to", "to|recipient|person|name|contact", "text", "Who receives it|The recipient", True, None), ("text", "text|message|body|content", "text", "The text of the message|What to send", True, None)])

  def case():
    who = person(rng, held_out)
    words = rng.choice((f"I will be {rng.randint(5, 55)} minutes late", f"please {rng.choice(VERBS)} the {rng.choice(NOUNS)}", f"the {rng.choice(NOUNS)} is {rng.choice(ADJECTIVES)}", f"dinner is at {rng.randint(1, 12)}", f"I am in {city(rng, held_out)}",
                        f"{rng.choice(VERBS)} the {made_up(rng)}", f"see you on {rng.choice(WEEKDAYS)}", "hello", "thank you", "happy birthday", f"we need {rng.choice(FOODS)} and {rng.choice(FOODS)}"))
    ask = pick(rng, "Send {p} a message: {t}|Tell {p}: {t}|Send a message to {p}: {t}|Write to {p}: {t}|Message {p}: {t}|Text {p}: {t}|Please send {p} this: {t}|Let {p} know: {t}|send \"{t}\" to {p}").format(p=who, t=words)
    ok = rng.choice(({"status": "sent"}, {"ok": True}, "sent", {"sent": True}, {"success": True}))
    return Case(ask, {tool.keys["to"]: who, tool.keys["text"]: words}, ok, f"The message to {who} is sent.", f"a message to {who}")
  return tool, case, "messages"


def stock(rng, held_out):
  tool = offer(rng, "get_stock_price|stock_price|get_quote|lookup_stock|share_price", "Gets the price of a stock.|Current share price.|Looks up a stock by its symbol.", [("symbol", "symbol|ticker|stock|code", "text", "The ticker symbol|Stock symbol", True, None)])

  def case():
    while True:
      symbol = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(2, 4)))
      if is_held_out(f"stock:{symbol}") == held_out:
        break
    price = rng.randint(100, 99999) / 100
    ask = pick(rng, "What is the price of {s}?|What is the stock price of {s}?|How much is {s} stock?|Price of {s}?|What does {s} trade at?|Look up {s}.|stock price {s}|What is {s} at?").format(s=symbol)
    return Case(ask, {tool.keys["symbol"]: symbol}, {rng.choice(("price", "last", "value")): price}, f"The price of {symbol} is {price}.", f"the price of {symbol}")
  return tool, case, "stock prices"


def translation(rng, held_out):
  tool = offer(rng, "translate|translate_text|translator", "Translates text into another language.|Translate a text.", [("text", "text|phrase|source_text|input", "text", "The text to translate", True, None), ("to", "language|target_language|to|target", "text", "The language to translate into", True, None)])

  def case():
    while True:
      text = rng.choice((f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}", rng.choice(NOUNS), f"the {rng.choice(NOUNS)} is {rng.choice(ADJECTIVES)}", "good morning", f"where is the {rng.choice(NOUNS)}", f"I like {rng.choice(FOODS)}"))
      language = rng.choice(LANGUAGES)
      if is_held_out(f"translate:{text}:{language}") == held_out:
        break
    ask = pick(rng, "Translate '{t}' into {l}.|Translate \"{t}\" to {l}.|Translate into {l}: {t}|translate to {l}: {t}|How do you say '{t}' in {l}?|What is '{t}' in {l}?").format(t=text, l=language)
    foreign = " ".join(made_up(rng) for _ in text.split())
    result = {rng.choice(("translation", "text", "result")): foreign} if rng.random() < 0.8 else foreign
    return Case(ask, {tool.keys["text"]: text, tool.keys["to"]: language}, result, f"In {language}: {foreign}", f"a translation into {language}")
  return tool, case, "translation"


def lights(rng, held_out):
  tool = offer(rng, "set_light|switch_light|control_light|light|set_lamp", "Switches a light on or off.|Controls the lights.|Turn lights on or off.", [("room", "room|location|where|area", "text", "The room", True, None), ("state", "state|action|power", "enum", "On or off", True, ("on", "off"))])

  def case():
    while True:
      room, state = rng.choice("kitchen bedroom bathroom hall garage garden office cellar attic library nursery".split() + [made_up(rng) + " room"]), rng.choice(("on", "off"))
      if " " not in room and not held_out or is_held_out(f"light:{room}") == held_out:
        break
    ask = pick(rng, "Turn {s} the light in the {r}.|Turn the {r} light {s}.|Switch {s} the {r} light.|turn {s} the lights in the {r}|Lights {s} in the {r}, please.|Please switch the light in the {r} {s}.").format(s=state, r=room)
    ok = rng.choice(({"status": "ok"}, {"ok": True}, "ok", {"state": state}))
    return Case(ask, {tool.keys["room"]: room, tool.keys["state"]: state}, ok, f"The light in the {room} is {state}.", f"the light in the {room}")
  return tool, case, "the lights"


def calculator(rng, held_out):
  """With a calculator at hand sums go to the calculator."""
  expression = rng.random() < 0.5
  if expression:
    tool = offer(rng, "calculate|calculator|evaluate|compute|math", "Evaluates an arithmetic expression.|A calculator.|Computes an expression.", [("e", "expression|input|formula|expr", "text", "The expression, e.g. 2 + 2|What to compute", True, None)])
  else:
    name, sign, verb = rng.choice((("add|add_numbers|sum", "+", "Adds two numbers."), ("multiply|multiply_numbers", "*", "Multiplies two numbers."), ("subtract|minus", "-", "Subtracts the second number from the first.")))
    tool = offer(rng, name, verb, [("a", "a|x|first|left", "float", "The first number", True, None), ("b", "b|y|second|right", "float", "The second number", True, None)])

  def case():
    operation = rng.choice("+-*/") if expression else sign
    while True:
      a, b = rng.randint(1, 10 ** rng.randint(1, 5)), rng.randint(1, 10 ** rng.randint(1, 5))
      if is_held_out(f"calculator:{operation}:{a}:{b}") == held_out:
        break
    ask = pick(rng, "What is {a} {o} {b}?|Calculate {a} {o} {b}.|what is {a} {o} {b}|Compute {a} {o} {b}.|{a} {o} {b}|How much is {a} {o} {b}?|{a}{o}{b}").format(a=a, o=operation, b=b)
    value = {"+": a + b, "-": a - b, "*": a * b, "/": round(a / b, 2)}[operation]
    result = {rng.choice(("result", "value", "answer")): value} if rng.random() < 0.75 else str(value)
    arguments = {tool.keys["e"]: f"{a} {operation} {b}"} if expression else {tool.keys["a"]: a, tool.keys["b"]: b}
    return Case(ask, arguments, result, f"{a} {operation} {b} = {value}.", f"{a} {operation} {b}")
  return tool, case, "arithmetic"


def reminder(rng, held_out):
  tool = offer(rng, "add_todo|add_task|create_task|add_reminder|add_to_list|remember_task", "Adds an item to the list.|Adds a task.|Creates a reminder.|Puts something on the to-do list.", [("item", "item|task|text|title|what", "text", "What to add|The task", True, None)])

  def case():
    while True:
      item = rng.choice((f"{rng.choice(VERBS)} the {rng.choice(NOUNS)}", f"{rng.choice(VERBS)} {rng.choice(THINGS + FOODS)}", f"call {person(rng, held_out)}", f"{rng.choice(VERBS)} the {made_up(rng)}", f"{rng.choice(VERBS)} {rng.choice(ADJECTIVES)} {rng.choice(THINGS)}"))
      if is_held_out(f"todo:{item}") == held_out:
        break
    ask = pick(rng, "Add '{t}' to my list.|Remind me to {t}.|Put {t} on my list.|Add a task: {t}|add to my list: {t}|New task: {t}|Please remind me to {t}.|I have to {t}. Add it.").format(t=item)
    ok = rng.choice(({"status": "ok"}, {"ok": True}, "added", {"id": rng.randint(1, 999)}, {"success": True}))
    return Case(ask, {tool.keys["item"]: item}, ok, f"I added: {item}", f"a task: {item}")
  return tool, case, "your list"


def dice(rng, held_out):
  tool = offer(rng, "roll_dice|roll_die|dice|throw_dice", "Rolls a die.|Throws a die with some sides.", [("sides", "sides|faces|n", "int", "Number of sides", True, None)])

  def case():
    while True:
      sides = rng.randint(2, 120)
      if is_held_out(f"dice:{sides}") == held_out:
        break
    value = rng.randint(1, sides)
    ask = pick(rng, "Roll a die with {s} sides.|Roll a {s}-sided die.|roll a d{s}|Throw a die with {s} sides.|Please roll a {s} sided die.").format(s=sides)
    return Case(ask, {tool.keys["sides"]: sides}, {rng.choice(("result", "value", "roll")): value}, f"The die shows {value}.", f"a die with {sides} sides")
  return tool, case, "dice"


def location(rng, held_out):
  tool = offer(rng, "get_location|get_user_location|locate_user|where_am_i|my_location", "Gets the location of the user.|Returns where the user is.|Locates the user.", [])
  if rng.random() < 0.4:
    tool.definition["parameters"] = {"type": "object", "properties": {}}

  def case():
    place = city(rng, held_out)
    ask = pick(rng, "Where am I?|What is my location?|where am I right now?|Find my location.|Which city am I in?|Locate me.|Can you tell where I am?")
    return Case(ask, {}, {rng.choice(("city", "location", "place")): place} if rng.random() < 0.8 else place, f"You are in {place}.", "the user's location")
  return tool, case, "your location"


def table(rng, held_out):
  tool = offer(rng, "book_table|reserve_table|make_reservation|book_restaurant", "Books a table in a restaurant.|Reserves a table.", [("place", "city|location|town", "text", "The city", True, None), ("people", "people|guests|party_size|seats", "int", "How many people", True, None), ("time", "time|hour|at", "text", "The time, e.g. 19:30", True, None)])

  def case():
    place, people, time = city(rng, held_out), rng.randint(1, 12), f"{rng.randint(11, 22)}:{rng.choice(('00', '15', '30', '45'))}"
    ask = pick(rng, "Book a table for {n} in {c} at {t}.|Reserve a table in {c} for {n} people at {t}.|I need a table for {n} at {t} in {c}.|book a table in {c} at {t} for {n} people|Please book a table for {n} people in {c} at {t}.").format(n=people, c=place, t=time)
    ok = rng.choice(({"status": "confirmed"}, {"confirmed": True}, {"ok": True}, "confirmed"))
    return Case(ask, {tool.keys["place"]: place, tool.keys["people"]: people, tool.keys["time"]: time}, ok, f"The table in {place} is booked for {people} at {time}.", f"a table in {place}")
  return tool, case, "reservations"


def event(rng, held_out):
  tool = offer(rng, "create_event|add_event|schedule_event|add_to_calendar|schedule_meeting", "Creates a calendar event.|Adds an event to the calendar.|Schedules a meeting.", [("title", "title|name|summary|what", "text", "Title of the event", True, None), ("day", "day|weekday|date|when", "text", "The day", True, None)])

  def case():
    title = rng.choice((f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}", f"meeting with {person(rng, held_out)}", f"{made_up(rng)} party", f"{rng.choice(NOUNS)} lesson", f"dinner with {person(rng, held_out)}"))
    day = rng.choice(WEEKDAYS)
    ask = pick(rng, "Schedule {t} on {d}.|Add {t} to my calendar on {d}.|Put {t} on {d}.|Create an event: {t} on {d}|schedule {t} for {d}|Plan {t} for {d}, please.").format(t=title, d=day)
    ok = rng.choice(({"status": "created"}, {"ok": True}, "created", {"id": rng.randint(1, 999)}))
    return Case(ask, {tool.keys["title"]: title, tool.keys["day"]: day}, ok, f"{day}: {title} is in your calendar.", f"an event on {day}")
  return tool, case, "your calendar"


def music(rng, held_out):
  tool = offer(rng, "play_music|play_song|play|start_music", "Plays a song.|Plays music by an artist.|Starts a song.", [("song", "song|title|track|name|query", "text", "What to play", True, None)])

  def case():
    while True:
      song = " ".join(w.capitalize() for w in rng.choice(([rng.choice(ADJECTIVES), rng.choice(NOUNS)], [made_up(rng)], ["the", rng.choice(NOUNS)], [made_up(rng), rng.choice(NOUNS)])))
      if is_held_out(f"song:{song}") == held_out:
        break
    ask = pick(rng, "Play {s}.|Play the song {s}.|play {s}|Put on {s}.|I want to hear {s}.|Please play {s}.|Start {s}.").format(s=song)
    return Case(ask, {tool.keys["song"]: song}, rng.choice(({"status": "playing"}, {"ok": True}, "playing")), f"Now playing {song}.", f"the song {song}")
  return tool, case, "music"


def free_form(rng, held_out):
  """A tool never seen before, called by its name with arguments named in the question: only the schema can tell how."""
  verb = rng.choice(VERBS + ["get", "set", "list", "create", "delete", "update", "check"])
  name = f"{verb}_{rng.choice(NOUNS) if rng.random() < 0.5 else made_up(rng)}"
  words = [w for w in rng.sample(NOUNS, 4)]
  words[0] = made_up(rng) if rng.random() < 0.4 else words[0]
  count = rng.randint(1, 3)
  kinds = [rng.choice(("text", "int", "text", "enum", "bool")) for _ in range(count)]
  choices = [rng.sample(ADJECTIVES + COLORS, rng.randint(2, 4)) if kind == "enum" else None for kind in kinds]
  tool = offer(rng, name, f"{verb.capitalize()}s the {name.split('_')[1]}.|{verb.capitalize()} a {name.split('_')[1]}.", [(str(i), words[i], kinds[i], f"The {words[i]}", True, choices[i]) for i in range(count)])

  def case():
    arguments = {}
    for i, kind in enumerate(kinds):
      key = tool.keys[str(i)]
      while True:
        value = {"text": lambda: rng.choice((made_up(rng), rng.choice(NOUNS), person(rng, held_out), city(rng, held_out))), "int": lambda: rng.randint(0, 999), "enum": lambda: rng.choice(choices[i]), "bool": lambda: rng.random() < 0.5}[kind]()
        if kind in ("enum", "bool") or is_held_out(f"free:{value}") == held_out:
          break
      arguments[key] = value
    spoken = ", ".join(pick(rng, "{k} {v}|{k} {v}|{k} = {v}|{k}: {v}").format(k=k, v=json.dumps(v) if isinstance(v, bool) else v) for k, v in arguments.items())
    ask = pick(rng, "Call {n} with {s}.|Use {n} with {s}.|call {n} with {s}|Please run {n} with {s}.|{n} with {s}, please.|Use the tool {n}: {s}").format(n=tool.name, s=spoken)
    key, value = rng.choice(NOUNS + ["result", "answer", "value"]), rng.choice((made_up(rng), rng.randint(0, 999), rng.choice(NOUNS)))
    result = rng.choice(({key: value}, {key: value}, {"status": "ok"}, str(value)))
    answer = "It is done." if result == {"status": "ok"} else f"The {key} is {value}." if isinstance(result, dict) else f"The answer is: {value}"
    return Case(ask, arguments, result, answer, tool.name)
  return tool, case, "that"


FAMILIES = [weather, weather, weather, clock, currency, search, timer, message, stock, translation, lights, calculator, reminder, dice, location, table, event, music, free_form, free_form, free_form]
ERRORS = ["not found", "timeout", "service unavailable", "unknown location", "invalid argument", "permission denied", "no connection", "rate limit exceeded"]


def toolbox(rng, held_out, without=(), most=4):
  """Some tools of different families, with distinct names: two that could both answer would make the right call ambiguous."""
  families = [f for f in dict.fromkeys(FAMILIES) if f not in without]
  tools = []
  for family in rng.sample(families, rng.randint(0, most)):
    tool = family(rng, held_out)[0]
    if all(tool.name != t["name"] for t in tools):
      tools.append(tool.definition)
  return tools


def _calling(effort, case, tool):
  given = " and ".join(f"{k} {json.dumps(v) if isinstance(v, bool) else v}" for k, v in case.arguments.items())
  how = f"I call {tool.name} with {given}." if given else f"I call {tool.name}."
  return {"low": None, "medium": how, "high": f"The user asks for {case.about}. The tool {tool.name} fits. {how}"}[effort]


def tool_use(rng, held_out, effort, world):
  """A call and, after its result, the answer; sometimes two calls in a row, sometimes an error."""
  family = rng.choice(FAMILIES)
  tool, make, _ = family(rng, held_out)
  others = [t for t in toolbox(rng, held_out, (family,)) if t["name"] != tool.name]
  world.tools = others + [tool.definition]
  rng.shuffle(world.tools)
  first = make()
  cases, ask = [first], first.ask
  if family in (weather, clock) and len(first.arguments) == 1 and rng.random() < 0.12:
    second = make()
    if len(second.arguments) == 1 and second.arguments != first.arguments:
      places = [list(c.arguments.values())[0] for c in (first, second)]
      ask = pick(rng, "What is the weather in {a} and {b}?|What's the weather in {a} and in {b}?|weather in {a} and {b}" if family is weather else "What time is it in {a} and {b}?|What's the time in {a} and in {b}?").format(a=places[0], b=places[1])
      cases = [first, second]
  if len(cases) == 1 and family in (weather, clock) and first.arguments[next(iter(tool.keys.values()))] in CITIES and rng.random() < 0.12:
    ask = ask.lower()
  messages = []
  if rng.random() < 0.15:
    before = make()
    messages += [user(before.ask), call(tool.name, before.arguments), tool_result(tool.name, _dump(rng, before.result)), final(before.answer)]
  messages.append(user(ask))
  answers = []
  for case in cases:
    thought = _calling(effort, case, tool)
    messages += ([analysis(thought)] if thought else []) + [call(tool.name, case.arguments)]
    if rng.random() < 0.06:
      error = rng.choice(ERRORS)
      messages.append(tool_result(tool.name, _dump(rng, {"error": error} if rng.random() < 0.8 else f"Error: {error}")))
      answers.append(f"The tool reports an error: {error}.")
    else:
      messages.append(tool_result(tool.name, _dump(rng, case.result)))
      answers.append(case.answer)
  if effort == "high":
    messages.append(analysis("The result is here. I give the answer in one sentence."))
  return Turn("tool_call", messages + [final(" ".join(answers))])


def missing_tool(rng, held_out, effort, world):
  """The question needs a tool that is not there: say so, never invent."""
  family = rng.choice([f for f in dict.fromkeys(FAMILIES) if f not in (calculator, free_form, translation, search, music, stock)])
  _, make, noun = family(rng, held_out)
  world.tools = toolbox(rng, held_out, (family, free_form, search), 3) if rng.random() < 0.6 else []
  thought = {"low": None, "medium": f"This needs a tool for {noun}, and I have none.", "high": f"This needs a tool for {noun}. I look at my tools: none of them fits. I should not invent an answer."}[effort]
  return reply("missing_tool", make().ask, thought, f"I have no tool for {noun}, so I cannot do that.")


def missing_argument(rng, held_out, effort, world):
  """A tool fits, but its argument was not given: ask for it."""
  family = rng.choice((weather, clock))
  tool, _, _ = family(rng, held_out)
  world.tools = [t for t in toolbox(rng, held_out, (family, location)) if t["name"] != tool.name] + [tool.definition]
  rng.shuffle(world.tools)
  question = pick(rng, "What is the weather?|What's the weather like?|How is the weather?|weather?|Is it raining?" if family is weather else "What time is it?|what's the time?|Tell me the time.|time?")
  return reply("missing_argument", question, None if effort == "low" else f"{tool.name} needs a place, and none was given.", "For which city?")
