"""A made-up small house: what its things are called, for templates that ask for a name."""

from __future__ import annotations

from collections.abc import Mapping

AREAS = (
    "kitchen", "living room", "bedroom", "bathroom", "hallway", "office", "garage", "cellar",
    "nursery", "dining room", "garden", "attic", "laundry room", "terrace", "guest room", "study",
)  # fmt: skip
FLOORS = ("ground", "first", "second", "upper", "lower", "basement")

NAMES: Mapping[str, tuple[str, ...]] = {  # by the kind of thing that a template is about
    "light": ("reading lamp", "ceiling light", "night light", "desk lamp", "porch light",
              "fairy lights", "hallway spots", "mirror light"),
    "switch": ("coffee maker", "kettle", "christmas tree", "water pump", "charger", "towel rail"),
    "fan": ("ceiling fan", "tower fan", "bedroom fan", "extractor", "desk fan"),
    "media_player": ("television", "kitchen radio", "speaker", "soundbar", "record player",
                     "bathroom speaker"),
    "input_boolean": ("guest mode", "holiday mode", "quiet mode"),
    "climate": ("thermostat", "radiator", "air conditioner", "floor heating", "heat pump"),
    "cover": ("roller blind", "left curtain", "garage door", "garden gate", "skylight shade",
              "patio awning"),
    "valve": ("garden tap", "main valve", "sprinkler valve", "radiator valve"),
    "lock": ("front door", "back door", "shed lock", "side gate", "cellar door"),
    "scene": ("movie night", "breakfast", "sunset", "party", "good night", "focus time"),
    "script": ("leave the house", "wake up routine", "water the plants", "dinner bell"),
    "button": ("doorbell test", "restart router", "feed the cat", "open mailbox"),
    "input_button": ("panic button", "page the kids"),
    "sensor": ("outdoor temperature", "humidity sensor", "power meter", "rain gauge",
               "water meter"),
    "binary_sensor": ("motion sensor", "window sensor", "leak sensor", "smoke detector",
                      "mailbox sensor", "washing machine"),
    "person": ("Anna", "Ben", "Carla", "David", "Emma", "Felix"),
    "weather": ("London", "Berlin", "Oslo", "home", "Lisbon", "the office"),
    "lawn_mower": ("lawn mower", "robot mower", "mower", "front lawn robot", "Shaun"),
    "todo": ("shopping", "groceries", "chores", "work", "holiday", "gifts"),
    "vacuum": ("vacuum", "robot vacuum", "hoover", "Dusty", "upstairs vacuum", "sweeper"),
}  # fmt: skip

PHRASES: Mapping[str, tuple[str, ...]] = {  # what stands where a template takes any words
    "message": ("dinner is ready", "we leave in ten minutes", "the bus is late",
                "please come downstairs", "time for bed", "the parcel has arrived",
                "film starts now", "who took my keys", "lunch is on the table",
                "the taxi is waiting", "homework first", "grandma is calling"),
    "search_query": ("jazz", "the beatles", "white noise", "bach cello suites", "classic rock",
                     "bedtime stories", "the morning news", "blue monday", "summer hits",
                     "rain sounds", "miles davis", "abba", "a love supreme", "radio paradise"),
    "zone": ("work", "school", "the gym", "the station", "the park"),
    "timer_name": ("pizza", "egg", "laundry", "tea", "pasta", "workout", "nap", "bread", "rice",
                   "chicken"),
    "timer_command": ("turn off the lights", "open the blinds", "start the vacuum",
                      "lock the front door", "play some jazz", "switch off the kettle"),
    "shopping_list_item": ("milk", "eggs", "olive oil", "oat milk", "tomatoes", "bread",
                           "washing powder", "two lemons", "dark chocolate", "coffee beans",
                           "rice", "cat food", "butter", "apples", "toothpaste", "onions"),
    "todo_list_item": ("call the dentist", "pay the rent", "renew passport", "clean the gutters",
                       "book flights", "water the plants", "fix the bike", "return the books",
                       "buy a present", "file the taxes", "change the filter", "wash the car"),
}  # fmt: skip
