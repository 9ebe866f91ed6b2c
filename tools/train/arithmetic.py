"""Arithmetic worked out column by column, units, dates: questions whose answer follows from steps the analysis spells out."""

import calendar
import datetime
from dataclasses import dataclass, field

from harmony import Message, analysis, final, user
from words import MONTHS, THINGS, WEEKDAYS, is_held_out, person, pick

PLACES = ["Ones", "Tens", "Hundreds", "Thousands", "Ten thousands"]


@dataclass(slots=True)
class Turn:
  """One exchange. `accepted` lists the final texts that count as right; without it only the last message's text does."""

  task: str
  messages: list[Message]
  accepted: list[str] = field(default_factory=list)

  @property
  def answers(self):
    return self.accepted or [self.messages[-1].text]


def reply(task, question, thought, answer):
  """A turn from question, thought (None: no analysis) and answer."""
  return Turn(task, [user(question)] + ([analysis(thought)] if thought else []) + [final(answer)])


def _digits(number):
  return [int(d) for d in str(number)[::-1]]


def _write(value, last):
  if value < 10:
    return f", write {value}", 0
  return f", write {value % 10}, carry {value // 10}", value // 10


def add_columns(a, b):
  """(short, long) working of a + b from the ones upwards."""
  x, y = _digits(a), _digits(b)
  carry, short, long = 0, [], []
  for place in range(max(len(x), len(y))):
    terms = [d[place] for d in (x, y) if place < len(d)] + ([carry] if carry else [])
    total = sum(terms)
    expression = " + ".join(map(str, terms))
    short.append(f"{expression.replace(' ', '')}={total}" if len(terms) > 1 else str(total))
    done, carry = _write(total, False)
    long.append(f"{PLACES[place]}: {expression}{f' = {total}' if len(terms) > 1 else ''}{done}.")
  if carry:
    short.append(str(carry))
    long.append(f"{PLACES[max(len(x), len(y))]}: {carry}, write {carry}.")
  return " ".join(short), " ".join(long)


def subtract_columns(a, b):
  """(short, long) working of a - b for a >= b."""
  x, y = _digits(a), _digits(b)
  borrow, short, long = 0, [], []
  for place in range(len(x)):
    terms = ([borrow] if borrow else []) + ([y[place]] if place < len(y) else [])
    top = x[place]
    expression = " - ".join(map(str, [top] + terms))
    value, borrow = top - sum(terms), 0
    if value < 0:
      value, borrow = value + 10, 1
      lifted = " - ".join(map(str, [top + 10] + terms))
      short.append(f"{expression.replace(' ', '')}<0 {lifted.replace(' ', '')}={value}")
      long.append(f"{PLACES[place]}: {expression}, borrow: {lifted} = {value}, write {value}.")
    else:
      equals = f" = {value}" if terms else ""
      short.append((expression + equals).replace(" ", ""))
      long.append(f"{PLACES[place]}: {expression}{equals}, write {value}.")
  return " ".join(short), " ".join(long)


def multiply_columns(a, digit):
  """(short, long) working of a × digit for a one-digit factor."""
  carry, short, long = 0, [], []
  for place, d in enumerate(_digits(a)):
    product = d * digit
    total = product + carry
    plus = f", plus {carry} = {total}" if carry else ""
    short.append(f"{d}×{digit}{f'+{carry}' if carry else ''}={total}")
    done, carry = _write(total, False)
    long.append(f"{PLACES[place]}: {d} × {digit} = {product}{plus}{done}.")
  if carry:
    short.append(str(carry))
    long.append(f"{PLACES[len(str(a))]}: {carry}, write {carry}.")
  return " ".join(short), " ".join(long)


def divide_steps(a, digit):
  """(short, long) long division of a by a one-digit divisor."""
  rest, steps = 0, []
  for d in map(int, str(a)):
    value = rest * 10 + d
    quotient, rest = divmod(value, digit)
    steps.append(f"{value} ÷ {digit} = {quotient} rest {rest}.")
  return " ".join(steps).replace(" ÷ ", "÷").replace(" = ", "="), " ".join(steps)


def compare(a, b):
  """Which of two numbers is larger, digit by digit from the left: "4 = 4, 7 < 8"."""
  if len(str(a)) != len(str(b)):
    return f"{len(str(a))} digits {'<' if len(str(a)) < len(str(b)) else '>'} {len(str(b))} digits"
  steps = []
  for x, y in zip(str(a), str(b)):
    steps.append(f"{x} {'<' if x < y else '>' if x > y else '='} {y}")
    if x != y:
      break
  return ", ".join(steps)


def worked(operation, a, b):
  """(short working, long working, result text) of one operation."""
  if operation == "+":
    return (*(add_columns(a, b) if max(a, b) > 9 else (f"{a}+{b}={a + b}", f"{a} + {b} = {a + b}.")), str(a + b))
  if operation == "-":
    compared = compare(a, b)
    if a < b:
      short, long = subtract_columns(b, a)
      lead = f"Compare: {compared}. {a} is less than {b}, so the result is negative. "
      return f"{compared} {short}", f"{lead}{b} - {a}: {long}", str(a - b)
    short, long = subtract_columns(a, b)
    return f"{compared} {short}", f"Compare: {compared}. {long}", str(a - b)
  if operation == "×":
    if b > 9:
      tens, ones = divmod(b, 10)
      parts = [f"{a} × {b} = {a} × {tens * 10} + {a} × {ones}."]
      parts.append(f"{a} × {tens}: {multiply_columns(a, tens)[1]} That is {a * tens}, so {a} × {tens * 10} = {a * tens * 10}.")
      parts.append(f"{a} × {ones}: {multiply_columns(a, ones)[1]} That is {a * ones}.")
      parts.append(f"{a * tens * 10} + {a * ones}: {add_columns(a * tens * 10, a * ones)[1]}")
      return " ".join(parts), " ".join(parts), str(a * b)
    if a <= 10 or b < 2:
      return f"{a}×{b}={a * b}", f"{a} × {b} = {a * b}.", str(a * b)
    return (*multiply_columns(a, b), str(a * b))
  quotient, rest = divmod(a, b)
  return (*divide_steps(a, b), str(quotient) + (f" remainder {rest}" if rest else ""))


def thought_of(operation, a, b, effort):
  short, long, result = worked(operation, a, b)
  if effort == "low":
    return short
  text = f"{a} {operation} {b}. {long} So {a} {operation} {b} = {result}."
  if effort == "high":
    text = f"The user wants {a} {operation} {b}. I work from the ones to the left. " + text + " I give only the result."
  return text


ASK = {
  "+": "What is {a} + {b}?|What is {a} + {b}?|What's {a} + {b}?|what is {a} + {b}|what is {a}+{b}?|{a} + {b}|{a}+{b}|{a} + {b} = ?|{a}+{b}=?|{a} + {b} ="
       "|Calculate {a} + {b}.|Compute {a} + {b}|calculate {a}+{b}|How much is {a} + {b}?|how much is {a} plus {b}|What is {a} plus {b}?|what's {a} plus {b}?"
       "|Add {a} and {b}.|add {a} and {b}|Please add {a} and {b}.|Add {a} to {b}.|Can you add {a} and {b}?|Can you tell me what {a} + {b} is?|What is the sum of {a} and {b}?"
       "|the sum of {a} and {b}|Sum {a} and {b}.|Hey, what is {a} + {b}?|I need {a} + {b}.|Tell me {a} + {b}.|Do you know {a} + {b}?|{a} plus {b}|{a} plus {b}?",
  "-": "What is {a} - {b}?|What is {a} - {b}?|What's {a} - {b}?|what is {a} - {b}|what is {a}-{b}?|{a} - {b}|{a}-{b}|{a} - {b} = ?|{a}-{b}=?|Calculate {a} - {b}."
       "|Compute {a} - {b}|How much is {a} - {b}?|How much is {a} minus {b}?|What is {a} minus {b}?|what's {a} minus {b}?|Subtract {b} from {a}.|subtract {b} from {a}"
       "|Take {b} away from {a}.|What is the difference between {a} and {b}?|Can you subtract {b} from {a}?|Tell me {a} - {b}.|{a} minus {b}|{a} minus {b}?",
  "×": "What is {a} × {b}?|What is {a} * {b}?|What is {a} x {b}?|What's {a} * {b}?|what is {a} times {b}|{a} × {b}|{a} * {b}|{a}*{b}|{a} x {b}|{a} × {b} = ?|{a}*{b}=?"
       "|Calculate {a} × {b}.|Compute {a} * {b}|How much is {a} times {b}?|What is {a} times {b}?|What is {a} multiplied by {b}?|Multiply {a} by {b}.|multiply {a} and {b}"
       "|What is the product of {a} and {b}?|Can you multiply {a} by {b}?|Tell me {a} times {b}.|{a} times {b}|{a} times {b}?",
  "÷": "What is {a} ÷ {b}?|What is {a} / {b}?|What's {a} / {b}?|what is {a} divided by {b}|{a} ÷ {b}|{a} / {b}|{a}/{b}|{a} / {b} = ?|Calculate {a} ÷ {b}.|Compute {a} / {b}"
       "|How much is {a} divided by {b}?|What is {a} divided by {b}?|Divide {a} by {b}.|divide {a} by {b}|Can you divide {a} by {b}?|Tell me {a} divided by {b}.|{a} divided by {b}",
}
ASK = {operation: text.split("|") for operation, text in ASK.items()}


def operands(rng, operation, digits):
  low, high = 10 ** (digits - 1), 10 ** digits - 1
  if operation in "+-":
    a = rng.randint(low if digits > 1 else 0, high)
    b = rng.randint(low if digits > 1 else 0, high)
    if operation == "-" and a < b and rng.random() < 0.85:
      a, b = b, a
    return a, b
  if operation == "×":
    return (rng.randint(0, 12), rng.randint(0, 10)) if digits == 1 else (rng.randint(low, high), rng.randint(2, 9))
  b = rng.randint(2, 9)
  return (b * rng.randint(1, 10) if digits == 1 else rng.randint(low, high)), b


def sum_key(operation, a, b):
  """Commutative pairs share a key: 17 + 25 is held out exactly when 25 + 17 is."""
  return f"{operation}:{min(a, b)}:{max(a, b)}" if operation in "+×" else f"{operation}:{a}:{b}"


def draw(rng, held_out, operation, digits, mixed=False):
  while True:
    a, b = operands(rng, operation, digits)
    if mixed:
      b = operands(rng, operation, rng.randint(1, digits))[1]
      a, b = (b, a) if operation == "+" and rng.random() < 0.5 else (a, b)
    small = operation in "+-×÷" and max(a, b) < 13
    # Tables of small numbers cannot be worked out and have to be known: they are all in training.
    if small and not held_out or is_held_out(sum_key(operation, a, b)) == held_out:
      return a, b


def calculation(rng, held_out, effort, world, operation=None, digits=None):
  operation = operation or rng.choices("+-×÷", (5, 3, 2, 1.5))[0]
  mixed = digits is None and rng.random() < 0.3
  digits = digits or rng.choices((1, 2, 3, 4), (2, 7, 4, 1))[0]
  digits = min(digits, 3) if operation in "×÷" else digits
  a, b = draw(rng, held_out, operation, digits, mixed)
  if operation == "×" and not mixed and digits == 2 and not held_out and rng.random() < 0.25:
    b, mixed = rng.randint(11, 99), True
    if is_held_out(sum_key("×", a, b)):
      return calculation(rng, held_out, effort, world)
  result = worked(operation, a, b)[2]
  name = {"+": "sum", "-": "difference", "×": "product", "÷": "quotient"}[operation]
  question = rng.choice(ASK[operation]).format(a=a, b=b)
  return reply(name + ("_mixed" if mixed else str(digits)), question, thought_of(operation, a, b, effort), f"{a} {operation} {b} = {result}.")


STORIES = {
  "+": "I have {a} {t} and buy {b} more. How many {t} do I have?=You have {r} {t}."
       "|I have {a} {t} and get {b} more. How many do I have now?=You have {r} {t}."
       "|{n} has {a} {t} and finds {b} more. How many {t} does {n} have?={n} has {r} {t}."
       "|There are {a} {t} in one box and {b} {t} in another. How many {t} are there in total?=There are {r} {t}."
       "|{n} has {a} {t}. {m} has {b} {t}. How many {t} do they have together?=Together they have {r} {t}.",
  "-": "I have {a} {t} and give away {b}. How many {t} are left?=You have {r} {t} left."
       "|I had {a} {t} and lost {b}. How many {t} do I have left?=You have {r} {t} left."
       "|{n} has {a} {t} and sells {b} of them. How many {t} does {n} have left?={n} has {r} {t} left."
       "|There are {a} {t} in a box. {n} takes {b} of them. How many {t} are left in the box?=There are {r} {t} left.",
  "×": "There are {b} boxes with {a} {t} each. How many {t} are there?=There are {r} {t}."
       "|{n} buys {b} bags of {a} {t}. How many {t} is that?=That is {r} {t}."
       "|One box holds {a} {t}. How many {t} are in {b} boxes?=There are {r} {t} in {b} boxes.",
}
STORIES = {operation: [s.split("=") for s in text.split("|")] for operation, text in STORIES.items()}


def word_problem(rng, held_out, effort, world):
  operation = rng.choices("+-×", (4, 3, 2))[0]
  while True:
    a, b = draw(rng, held_out, operation, rng.choices((1, 2, 3), (1, 5, 2))[0], rng.random() < 0.15)
    if min(a, b) > 1 and a >= b + 2 or operation != "-" and min(a, b) > 1:
      break
  question, answer = rng.choice(STORIES[operation])
  slots = dict(a=a, b=b, t=rng.choice(THINGS), n=person(rng, held_out), m=person(rng, held_out), r=worked(operation, a, b)[2])
  thought = thought_of(operation, a, b, "medium" if effort == "high" else effort)
  return reply("word_problem", question.format(**slots), thought, answer.format(**slots))


def follow_up(rng, held_out, effort, world):
  """Two turns: the second works on the first one's result."""
  while True:
    a, b = draw(rng, False, "+", 2)
    c, operation = rng.randint(2, 99), rng.choice("+-")
    if is_held_out(sum_key(operation, a + b, c)) == held_out:
      break
  first = f"{a} + {b} = {a + b}."
  ask = {"+": "Now add {c}.|Add {c} to that.|And plus {c}?|Add {c} more.|plus {c}", "-": "Now subtract {c}.|Subtract {c} from that.|And minus {c}?|Take away {c}.|minus {c}"}
  total = a + b
  turn = reply("follow_up", pick(rng, ask[operation]).format(c=c), thought_of(operation, total, c, effort), f"{total} {operation} {c} = {worked(operation, total, c)[2]}.")
  turn.messages = [user(rng.choice(ASK["+"]).format(a=a, b=b)), final(first)] + turn.messages
  return turn


def numbers(rng, held_out, effort, world):
  """Comparing, counting, even and odd."""
  while True:
    kind = rng.choice(("larger", "smaller", "count", "parity", "next"))
    a, b = rng.randint(1, 999 if rng.random() < 0.5 else 99), rng.randint(1, 999 if rng.random() < 0.5 else 99)
    if a != b and is_held_out(f"{kind}:{a}:{b}") == held_out:
      break
  if kind in ("larger", "smaller"):
    ask = "Which is {k}, {a} or {b}?|Which number is {k}: {a} or {b}?|What is {k}, {a} or {b}?|which is {k} {a} or {b}"
    best = max(a, b) if kind == "larger" else min(a, b)
    other = a + b - best
    thought = compare(a, b) if effort == "low" else f"Compare {a} and {b} from the left: {compare(a, b)}. So {best} is {kind}."
    return reply("numbers", pick(rng, ask).format(k=kind, a=a, b=b), thought, f"{best} is {kind} than {other}.")
  if kind == "count":
    start, length = a % 90 + 1, b % 9 + 3
    items = ", ".join(str(start + i) for i in range(length))
    question = pick(rng, "Count from {s} to {e}.|count from {s} to {e}|Please count from {s} to {e}.|Can you count from {s} to {e}?")
    thought = None if effort == "low" else f"I count up from {start} and stop at {start + length - 1}."
    return reply("numbers", question.format(s=start, e=start + length - 1), thought, f"{items}.")
  if kind == "parity":
    word = "odd" if a % 2 else "even"
    question = pick(rng, "Is {a} even or odd?|is {a} odd or even?|Is {a} an even number?|Is {a} an odd number?").format(a=a)
    thought = None if effort == "low" else f"The last digit of {a} is {a % 10}, which is {word}."
    return reply("numbers", question, thought, f"{a} is {word}.")
  question = pick(rng, "What number comes after {a}?|Which number follows {a}?|What is the next number after {a}?").format(a=a)
  return reply("numbers", question, worked("+", a, 1)[0] if effort == "low" else f"{worked('+', a, 1)[1]} {a} + 1 = {a + 1}.", f"After {a} comes {a + 1}.")


# (larger unit, smaller unit, how many smaller in one larger)
UNITS = [("kilometers", "meters", 1000), ("meters", "centimeters", 100), ("centimeters", "millimeters", 10), ("kilograms", "grams", 1000),
         ("liters", "milliliters", 1000), ("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7),
         ("years", "months", 12), ("feet", "inches", 12), ("yards", "feet", 3), ("decades", "years", 10), ("centuries", "years", 100),
         ("tons", "kilograms", 1000), ("dozens", "pieces", 12)]
SINGULAR = {"feet": "foot", "inches": "inch", "centuries": "century"}
SHORT_UNITS = {"kilometers": "km", "meters": "m", "centimeters": "cm", "millimeters": "mm", "kilograms": "kg", "grams": "g", "liters": "l", "milliliters": "ml",
               "hours": "h", "minutes": "min", "seconds": "s"}
BRITISH = {"kilometers": "kilometres", "meters": "metres", "centimeters": "centimetres", "millimeters": "millimetres", "liters": "litres", "milliliters": "millilitres"}


def _unit(name, count):
  return name if count != 1 else SINGULAR.get(name, name[:-1])


def units(rng, held_out, effort, world):
  while True:
    large, small, factor = rng.choice(UNITS)
    count, down = rng.randint(1, 99 if factor in (10, 100, 1000) else 20), rng.random() < 0.7
    if not down and factor not in (10, 100, 1000, 60, 7, 3):
      continue
    if count > 2 and is_held_out(f"unit:{large}:{small}:{count}:{down}") == held_out or count < 3 and not held_out:
      break
  if rng.random() < 0.12:
    celsius = rng.choice(range(0, 105, 5))
    a, b, c = celsius // 5, celsius // 5 * 9, celsius // 5 * 9 + 32
    question = pick(rng, "What is {c} degrees Celsius in Fahrenheit?|Convert {c} degrees Celsius to Fahrenheit.|{c} Celsius in Fahrenheit?|How many degrees Fahrenheit is {c} degrees Celsius?")
    return reply("units", question.format(c=celsius), f"{celsius} ÷ 5 = {a}. {a} × 9 = {b}. {b} + 32 = {c}.", f"{celsius} degrees Celsius = {c} degrees Fahrenheit.")
  total = count * factor
  (n, source), (m, target) = ((count, large), (total, small)) if down else ((total, small), (count, large))
  if down:
    if factor in (10, 100, 1000):
      step = f"One {_unit(large, 1)} is {factor} {small}. {count} × {factor} = {total}."
    elif factor in (7, 3):
      step = f"One {_unit(large, 1)} is {factor} {small}. {multiply_columns(count, factor)[1] if count > 10 else ''} {count} × {factor} = {total}.".replace(".  ", ". ")
    else:
      tens, ones = divmod(factor, 10)
      parts = f"{count} × {tens * 10} = {count * tens * 10}. "
      parts += f"{count} × {ones} = {count * ones}. {count * tens * 10} + {count * ones} = {total}. " if ones else ""
      step = f"One {_unit(large, 1)} is {factor} {small}. {parts}{count} × {factor} = {total}."
      step = step.replace(f"= {total}. {count} × {factor} = {total}.", f"= {total}.") if not ones else step
  else:
    if factor == 60:
      step = f"{factor} {small} are one {_unit(large, 1)}. {total} ÷ 60 = {total // 10} ÷ 6. {divide_steps(total // 10, 6)[1]} {total} ÷ 60 = {count}."
    else:
      long = f"{divide_steps(total, factor)[1]} " if factor in (7, 3) else ""
      step = f"{factor} {small} are one {_unit(large, 1)}. {long}{total} ÷ {factor} = {count}."
  say = lambda unit, number: BRITISH.get(unit, unit) if british else _unit(unit, number)
  british = rng.random() < 0.1 and n != 1
  ask = ["How many {t} are in {n} {s}?", "How many {t} are there in {n} {s}?", "Convert {n} {s} to {t}.", "convert {n} {s} to {t}", "What is {n} {s} in {t}?", "{n} {s} in {t}?",
         "How many {t} is {n} {s}?", "{n} {s} to {t}", "How many {t} make {n} {s}?"]
  question = rng.choice(ask).format(t=say(target, 2), n=n, s=say(source, n))
  if source in SHORT_UNITS and target in SHORT_UNITS and rng.random() < 0.2:
    question = pick(rng, "Convert {n} {s} to {t}.|{n} {s} in {t}?|What is {n} {s} in {t}?|How many {t} are {n} {s}?").format(n=n, s=SHORT_UNITS[source], t=SHORT_UNITS[target])
  answer = f"{n} {_unit(source, n)} = {m} {_unit(target, m)}."
  return reply("units", question, None if effort == "low" and factor in (10, 100, 1000) else step, answer)


def _spoken(date):
  return f"{MONTHS[date.month - 1]} {date.day}, {date.year}"


def _ask_date(rng, kind):
  return pick(rng, {
    "today": "What is today's date?|What's the date today?|What day is it today?|what is the date?|Which date is it?|Tell me today's date.|What is the current date?|date?|What date do we have today?",
    "year": "What year is it?|Which year is it?|what year are we in?|What is the current year?|Tell me the year.",
    "month": "What month is it?|Which month is it?|what month are we in?|What is the current month?",
    "tomorrow": "What is tomorrow's date?|What date is tomorrow?|what's the date tomorrow?|Which date will it be tomorrow?",
    "yesterday": "What was yesterday's date?|What date was yesterday?|what was the date yesterday?|Which date was it yesterday?",
    "later": "What is the date in {n} days?|What date will it be in {n} days?|Which date is {n} days from now?|what's the date {n} days from today?",
  }[kind])


def dates(rng, held_out, effort, world):
  """What the system message's date implies; and months, weekdays, leap years."""
  kind = rng.choice(("today", "today", "today", "year", "month", "tomorrow", "yesterday", "later", "later", "days", "next", "leap", "between"))
  quiet = effort == "low"
  if kind in ("today", "year", "month", "tomorrow", "yesterday", "later"):
    n = rng.randint(2, 28)
    question = _ask_date(rng, kind).format(n=n)
    if world.date is None:
      return reply("dates", question, None if quiet else "The system message gives no date.", "I do not know the date: this conversation does not tell me.")
    date = datetime.date.fromisoformat(world.date)
    lead = f"The system message says {world.date}."
    length = calendar.monthrange(date.year, date.month)[1]
    month = MONTHS[date.month - 1]
    if kind == "today":
      return reply("dates", question, None if quiet else f"{lead} Month {world.date[5:7]} is {month}.", f"Today is {_spoken(date)}.")
    if kind == "year":
      return reply("dates", question, None if quiet else lead, f"It is {date.year}.")
    if kind == "month":
      return reply("dates", question, None if quiet else f"{lead} Month {world.date[5:7]} is {month}.", f"It is {month} {date.year}.")
    if kind == "yesterday":
      other = date - datetime.timedelta(1)
      step = f"{date.day} - 1 = {date.day - 1}." if date.day > 1 else f"The day before is the last day of {MONTHS[other.month - 1]}, {other.day}."
      return reply("dates", question, f"{lead} Today is {_spoken(date)}. {step}", f"Yesterday was {_spoken(other)}.")
    n = 1 if kind == "tomorrow" else n
    other = date + datetime.timedelta(n)
    step = f"{date.day} + {n} = {date.day + n}. {month} has {length} days"
    step += f", so it is in {month}." if date.day + n <= length else f": {date.day + n} - {length} = {other.day}, in {MONTHS[other.month - 1]}."
    answer = f"Tomorrow is {_spoken(other)}." if kind == "tomorrow" else f"In {n} days it is {_spoken(other)}."
    return reply("dates", question, f"{lead} Today is {_spoken(date)}. {step}", answer)
  if kind == "days":
    index = rng.randrange(12)
    length = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[index]
    answer = f"{MONTHS[index]} has {length} days" + (", or 29 in a leap year." if index == 1 else ".")
    return reply("dates", pick(rng, "How many days does {m} have?|How many days are in {m}?|how many days has {m}?").format(m=MONTHS[index]), None, answer)
  if kind == "next":
    listed, noun = (MONTHS, "month") if rng.random() < 0.5 else (WEEKDAYS, "day")
    index = rng.randrange(len(listed))
    after = rng.random() < 0.6
    other = listed[(index + (1 if after else -1)) % len(listed)]
    word = "after" if after else "before"
    return reply("dates", pick(rng, "What {n} comes {w} {m}?|Which {n} is {w} {m}?|Which {n} comes {w} {m}?").format(n=noun, w=word, m=listed[index]), None,
                 f"{other} comes {word} {listed[index]}.")
  if kind == "leap":
    while True:
      year = rng.randint(1900, 2100)
      if is_held_out(f"leap:{year}") == held_out:
        break
    rest = year % 100
    if rest == 0:
      step = f"{year} is a century; {year // 100} ÷ 4 = {year // 400} rest {year // 100 % 4}."
    else:
      step = f"{rest} ÷ 4 = {rest // 4} rest {rest % 4}."
    leap = calendar.isleap(year)
    return reply("dates", pick(rng, "Is {y} a leap year?|is {y} a leap year|Was {y} a leap year?|Will {y} be a leap year?").format(y=year), step,
                 f"{'Yes' if leap else 'No'}, {year} is {'' if leap else 'not '}a leap year.")
  while True:
    index = rng.randrange(12)
    first, last = sorted((rng.randint(1, 30 if index != 1 else 28), rng.randint(1, 30 if index != 1 else 28)))
    if first < last and is_held_out(f"between:{index}:{first}:{last}") == held_out:
      break
  month = MONTHS[index]
  question = pick(rng, "How many days are there from {m} {a} to {m} {b}?|How many days lie between {m} {a} and {m} {b}?|How many days between {m} {a} and {m} {b}?")
  return reply("dates", question.format(m=month, a=first, b=last), f"{last} - {first} = {last - first}.",
               f"From {month} {first} to {month} {last} it is {last - first} day{'s' if last - first > 1 else ''}.")
