"""Word lists, made-up words and the train/held-out split."""

import zlib

NAMES = """Ada Adam Alice Amir Anna Anton Arthur Astrid Bella Ben Boris Carla Carlos Chloe Clara Daniel David Diana Diego Dora Edgar
Elena Elias Ella Emil Emma Eric Eva Felix Fiona Frank Freya George Greta Hana Hannah Harry Hugo Ida Igor Ines Irene Isaac Ivan Jack
Jana Jane Jasper Joan John Jonas Julia Karim Kate Kira Lara Laura Leo Lina Lisa Lucas Lucy Luis Maria Mark Marta Max Maya Mia Mila
Milan Mina Nadia Nina Noah Nora Olga Oliver Omar Oscar Otto Paul Pedro Petra Quinn Rafael Rosa Ruth Sam Sara Simon Sofia Stefan Sven
Tara Theo Tim Tina Tom Uma Vera Victor Wanda Will Yara Yusuf Zara Zoe Ravi Kenji Yuki Mei Priya Fatima Bob Charlie Eve Mallory""".split()

CITIES = """Paris|London|Berlin|Madrid|Rome|Vienna|Prague|Warsaw|Lisbon|Dublin|Oslo|Stockholm|Helsinki|Copenhagen|Athens|Budapest|Tokyo|Osaka
|Kyoto|Seoul|Beijing|Shanghai|Delhi|Mumbai|Bangkok|Hanoi|Jakarta|Manila|Singapore|Sydney|Melbourne|Auckland|Wellington|Cairo|Lagos|Nairobi|Accra
|Tunis|Dakar|Boston|Chicago|Denver|Seattle|Dallas|Houston|Miami|Atlanta|Phoenix|Portland|Toronto|Montreal|Vancouver|Ottawa|Lima|Bogota|Quito
|Santiago|Havana|Caracas|Milan|Naples|Turin|Venice|Florence|Munich|Hamburg|Cologne|Dresden|Leipzig|Zurich|Geneva|Basel|Bern|Lyon|Nice|Toulouse
|Bordeaux|Porto|Seville|Valencia|Bilbao|Krakow|Riga|Vilnius|Tallinn|Minsk|Kyiv|Sofia|Bucharest|Belgrade|Zagreb|Ljubljana|Sarajevo|Istanbul|Ankara
|Tehran|Baghdad|Amman|Beirut|Doha|Dubai|Riyadh|Karachi|Lahore|Dhaka|Kathmandu|Colombo|New York|San Francisco|Los Angeles|Buenos Aires|Rio de Janeiro
|Sao Paulo|Mexico City|Cape Town|Hong Kong|Tel Aviv|New Delhi|San Diego|Las Vegas|Kuala Lumpur|Abu Dhabi""".replace("\n", "").split("|")

ANIMALS = """fox owl cat dog mouse bear rabbit turtle whale crow frog horse hedgehog squirrel wolf duck goose goat sheep lion tiger
elephant monkey penguin dolphin snail bee ant butterfly sparrow swan deer badger otter beaver camel donkey parrot seal spider""".split()
HEROES = """dragon robot knight princess wizard pirate baker gardener sailor painter teacher king queen farmer fisherman giant ghost
astronaut clockmaker girl boy miller shepherd musician librarian witch""".split()
COLORS = "red blue green yellow orange purple pink brown black white grey silver gold violet turquoise".split()
FOODS = """pizza soup bread cheese rice pasta salad cake apples honey pancakes noodles chocolate tomatoes potatoes mushrooms beans
curry sushi lasagna strawberries cherries waffles dumplings popcorn olives""".split()
THINGS = """apples pears books coins marbles pencils stamps cards eggs stones shells flowers cookies candles buttons balloons tickets
photos bottles chairs boxes oranges plums nuts keys letters""".split()
JOBS = "teacher doctor nurse baker pilot farmer gardener painter writer engineer programmer carpenter cook musician lawyer plumber tailor".split()
PETS = "dog cat parrot hamster rabbit horse turtle goldfish".split()
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
LANGUAGES = "French German Spanish Italian Portuguese Dutch Polish Swedish Greek Turkish Japanese Korean Chinese Arabic Hindi Latin".split()
CURRENCIES = "USD EUR GBP JPY CHF CAD AUD SEK NOK DKK PLN CZK HUF INR CNY KRW BRL MXN ZAR NZD".split()
TOPICS = """quantum physics|black holes|the Roman Empire|photosynthesis|the stock market|machine learning|football|the Olympic games|tax law
|chess openings|jazz music|ancient Greece|volcanoes|the French Revolution|vaccines|electric cars|the moon landing|Shakespeare|dinosaurs|climate change
|the human brain|cooking pasta|rust programming|python decorators|neural networks|medieval castles|coral reefs|coffee|tea|gardening|knitting
|mountain climbing|solar panels|the Vikings|space travel|the internet|classical music|oil painting|cheap flights|good restaurants|bicycle repair
|new books|hiking trails|cat food|running shoes|the best pizza|learning guitar|old maps|healthy breakfast|home insulation|river boats""".replace("\n", "").split("|")
NOUNS = """time house water school car tree road book door window table paper garden river mountain city country family friend doctor
music picture game story letter language number color machine computer phone train plane boat bridge shop market money job holiday birthday
party dinner lunch breakfast kitchen room bed chair wall floor roof street light fire wind rain snow summer winter spring autumn morning
evening night week month year hour minute idea question answer problem plan dream song film team player engine wheel clock lamp bottle bag
coat shoe shirt hat ring box knife plate cup glass stone wood metal gold sand island forest field farm animal bird fish insect flower leaf
root seed fruit bread milk butter sugar salt pepper oil egg meat""".split()
VERBS = """buy sell find make build open close read write send call meet visit clean paint fix wash cook bake plant carry bring take
move watch feed walk check finish start order print pack sort count return borrow lend learn practice prepare repair water""".split()
ADJECTIVES = """small big old new red green quiet loud happy sad brave clever kind lazy quick slow warm cold dark bright soft hard
strong tired curious gentle hungry lonely proud shy silver golden tiny huge round strange""".split()

_ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gl gr kl kr pl pr qu sh sk sl sn sp st str th tr tw vl zh ".split(" ")
_VOWELS = "a e i o u a e i o u ai au ea ee ie io oa oo ou y".split()
_CODAS = "b d f g k l m n p r s t x z ck ft ld lk lm ln lp lt mb nd ng nk nt rd rk rm rn rt sh sk st th  ".split(" ")


_LISTED = [word.lower() for word in NAMES + ANIMALS + HEROES + FOODS + THINGS + JOBS + MONTHS + WEEKDAYS + LANGUAGES + NOUNS + VERBS + ADJECTIVES] + [
  word.lower() for place in CITIES + TOPICS for word in place.split() if word.isalpha() and word.isascii()]


def made_up(rng):
  """A word that is in no list, so that copying is learned rather than remembered: from syllables, from halves of two words, or plain letters."""
  kind = rng.random()
  if kind < 0.3:
    a, b = rng.choice(_LISTED), rng.choice(_LISTED)
    word = a[:rng.randint(1, len(a))] + b[rng.randint(0, len(b) - 1):]
  elif kind < 0.4:
    word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyzaeiouaeiou") for _ in range(rng.randint(3, 8)))
  else:
    word = ""
    for _ in range(rng.choice((1, 2, 2, 2, 3, 3))):
      word += rng.choice(_ONSETS) + rng.choice(_VOWELS) + (rng.choice(_CODAS) if rng.random() < 0.5 else "")
  word = "".join(c for c in word if c.isalpha())
  return word if len(word) > 2 else word + rng.choice(_VOWELS) + "n"


def is_held_out(key):
  """One content in eight belongs to the held-out set, decided by a hash of the content alone."""
  return zlib.crc32(key.encode()) % 8 == 0


def _drawn(rng, held_out, listed, kind, share):
  while True:
    word = rng.choice(listed) if rng.random() < share else made_up(rng).capitalize()
    if is_held_out(f"{kind}:{word}") == held_out:
      return word


def person(rng, held_out):
  return _drawn(rng, held_out, NAMES, "name", 0.4)


def city(rng, held_out):
  name = _drawn(rng, held_out, CITIES, "city", 0.5)
  if " " in name or rng.random() < 0.92:
    return name
  while True:
    second = rng.choice(("Town", "City", "Beach", "Falls", "Bay", "Hill", made_up(rng).capitalize(), made_up(rng).capitalize()))
    if is_held_out(f"city:{name} {second}") == held_out:
      return f"{name} {second}"


def pick(rng, text):
  """One of the alternatives in "a|b|c"."""
  return rng.choice(text.split("|"))
