"""The concepts a description is matched with: for each a few phrases for the nearest-concept search, and words that
settle it when they literally appear.

Kinds are the garment categories and the sample shop's products, and the wider categories of groceries and scanned
household things; looks are the presets.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One thing a description may ask for."""

    name: str
    words: tuple[str, ...]
    """Words and phrases that settle it where they appear, singular, lower case."""
    phrases: tuple[str, ...]
    """What it is like, for the embedding."""


def _table(rows: dict[str, tuple[str, str]]) -> tuple[Concept, ...]:
    split = {name: [tuple(part.strip() for part in parts.split(",")) for parts in row] for name, row in rows.items()}
    return tuple(
        Concept(name, tuple(word for word in words if word), (*filter(None, words[:6]), *filter(None, phrases)))
        for name, (words, phrases) in split.items()
    )


KINDS = _table(
    {
        "dress": (
            "dress, gown, sundress, maxi dress, midi dress, evening dress, shirt dress, wrap dress",
            "a long flowing dress for a party, summer frock, ball gown",
        ),
        "hat": (
            "hat, cap, beanie, fedora, bucket hat, baseball cap, beret, boater, sun hat",
            "headwear with a brim, a knitted cap for the head",
        ),
        "longsleeve": (
            "longsleeve, long sleeve, long-sleeve, long sleeved, long-sleeved, sweater, pullover, jumper, turtleneck,"
            " sweatshirt, long sleeve shirt, long-sleeve shirt, long sleeve t-shirt, long sleeve tee",
            "knitted wool top with long arms, cosy sweater",
        ),
        "outwear": (
            "outwear, outerwear, jacket, coat, parka, hoodie, blazer, cardigan, anorak, raincoat, trench coat,"
            " windbreaker, puffer, shirt jacket",
            "warm winter clothing worn over other clothes, waterproof rain shell with a hood",
        ),
        "pants": (
            "pants, trousers, jeans, chinos, leggings, joggers, slacks, sweatpants",
            "denim trousers with straight legs, tailored legwear",
        ),
        "shirt": (
            "shirt, blouse, button-down, button-up, dress shirt, oxford shirt, polo, polo shirt",
            "collared shirt with buttons, formal shirt for the office",
        ),
        "shoes": (
            "shoes, shoe, boots, boot, loafers, loafer, sandals, sandal, heels, pumps, oxfords, brogues, ankle boots,"
            " stilettos, moccasins",
            "leather footwear with a heel, lace-up footwear",
        ),
        "shorts": (
            "shorts, bermudas, swim trunks, boxer shorts, running shorts",
            "short trousers above the knee for summer and the beach",
        ),
        "skirt": (
            "skirt, miniskirt, pencil skirt, pleated skirt, midi skirt, kilt",
            "a pleated garment from the waist down",
        ),
        "t-shirt": (
            "t-shirt, tshirt, tee, tee shirt, tank top, crew-neck tee, graphic tee",
            "short sleeve cotton top with a print, crew neck jersey top",
        ),
        "backpack": (
            "backpack, rucksack, daypack, knapsack, school pack, trail pack, commuter pack",
            "bag carried on both shoulders with straps, for hiking or school",
        ),
        "bottle": (
            "bottle, flask, thermos, water bottle, canteen, growler, carafe, tumbler",
            "insulated steel drinking vessel with a cap, keeps water cold",
        ),
        "bowl": (
            "bowl, salad bowl, ramen bowl, fruit bowl, cereal bowl, rice bowl",
            "round open dish for salad or soup",
        ),
        "camera": (
            "camera, reflex, rangefinder, slr, instant camera, camcorder",
            "photography device with a lens, viewfinder and shutter, takes pictures on film",
        ),
        "candle": (
            "candle, scented candle, tealight, pillar candle, jar candle",
            "wax with a wick that burns with a flame, fragrance in a jar, beeswax pillar",
        ),
        "chair": (
            "chair, armchair, stool, bar stool, seat, recliner, rocking chair",
            "furniture to sit on with a back and legs, upholstered seating",
        ),
        "handbag": (
            "handbag, purse, tote, clutch, satchel, shoulder bag, bucket bag, crossbody bag, doctor bag, flap bag,"
            " picnic tote, tote bag, mini bag",
            "ladies leather bag with a chain or handles",
        ),
        "headphones": (
            "headphones, headphone, headset, earphones, earbuds",
            "over-ear cups on a band for listening to music with noise cancelling",
        ),
        "mug": (
            "mug, coffee cup, teacup, cup, espresso cup, cappuccino cup, beaker",
            "ceramic drinking vessel with a handle for hot coffee or cocoa",
        ),
        "plant pot": (
            "plant pot, flower pot, flowerpot, planter, terracotta pot, houseplant, potted plant, basket pot, cactus,"
            " succulent",
            "pot with a green plant growing in soil",
        ),
        "ring": (
            "ring, engagement ring, signet, wedding band, wedding ring, signet ring, solitaire",
            "jewellery for the finger with a diamond or gem stone",
        ),
        "sneaker": (
            "sneaker, trainer, running shoe, high-top, runner, gym shoe, tennis shoe, track shoe, trail shoe,"
            " basketball shoe, court shoe, running shoes",
            "sporty footwear with a rubber sole for running",
        ),
        "speaker": (
            "speaker, loudspeaker, smart speaker, soundbar, boombox, subwoofer, portable speaker, radio, party box",
            "plays music loudly over bluetooth with deep bass",
        ),
        "sunglasses": (
            "sunglasses, shades, aviators, sunglass, eyewear",
            "dark tinted lenses in a frame that protect the eyes from the sun",
        ),
        "table lamp": (
            "table lamp, lamp, desk lamp, bedside lamp, reading lamp, light fixture, lantern",
            "light with a shade and a bulb for a bedside table",
        ),
        "teapot": (
            "teapot, tea pot, tetsubin, kettle",
            "pours tea from a spout, for brewing leaves, with a lid and handle",
        ),
        "toy car": (
            "toy car, racing car, model car, toy truck, camper van, ice-cream van, police coupe, toy van, race car,"
            " pickup, beetle, coupe",
            "small wooden vehicle with wheels for children to push",
        ),
        "vase": (
            "vase, amphora, urn, moon jar, ginger jar, flower vase",
            "tall vessel for cut flowers, ceramic or porcelain for a bouquet",
        ),
        "wristwatch": (
            "wristwatch, watch, dress watch, dive watch, chronograph, timepiece, sports watch, smartwatch",
            "tells the time on the wrist, with a dial, hands and strap",
        ),
        "grocery": (
            "grocery, apple, banana, lemon, orange juice, milk, juice, yoghurt, yogurt, potato, tomato, pepper, onion,"
            " carrot, mushroom, cabbage, cucumber, avocado, mango, melon, pear, peach, plum, kiwi, lime fruit, cream,"
            " garlic, ginger, leek, zucchini, aubergine, asparagus, beet, fruit, vegetable, soup can, cracker, cereal,"
            " grapefruit, mandarin, nectarine, papaya, passion fruit, pineapple, pomegranate, satsuma, clementine,"
            " satsumas, orange fruit, oranges, limes, tuna, coffee can, pudding box, sugar box, oat drink,"
            " soy drink, soy milk",
            "sweet juicy fruit, fresh vegetable eaten raw or cooked, dairy product to drink, packaged food and"
            " drink, vitamins and taste",
        ),
        "tools": (
            "power drill, drill, hammer, screwdriver, wrench, clamp, padlock, scissors, chain, pliers, wood block",
            "hand tool for the workshop, hardware for repairs",
        ),
        "toys": (
            "toy, lego, duplo, rubiks cube, rubik's cube, dice, marbles, wood blocks, toy airplane, doll, teddy bear,"
            " puzzle",
            "plaything for a child, building bricks",
        ),
        "sports": (
            "baseball, softball, tennis ball, golf ball, soccer ball, football, racquetball, basketball",
            "ball for a game, sports equipment",
        ),
        "kitchenware": (
            "plate, fork, spoon, knife, spatula, skillet, pan, pitcher, cutlery, saucepan",
            "utensil for cooking and eating",
        ),
        "cleaning": (
            "bleach, sponge, detergent, cleanser, scrub cleanser",
            "household cleaning product, scours dirty dishes",
        ),
    }
)

LOOKS = _table(
    {
        "vintage": (
            "vintage, retro, antique, old-fashioned, sepia, nostalgic, heirloom, faded photograph, victorian",
            "worn brown photograph from long ago, seventies record shop, grandmother's attic, classic 1930s sketch",
        ),
        "sport": (
            "sport, sporty, sports, athletic, racing, energetic, dynamic",
            "bold stripes in red and blue at the race track, made for training and competition, fast runner",
        ),
        "neon": (
            "neon, cyberpunk, glowing, synthwave, fluorescent, nightclub, blacklight, rave",
            "bright pink and cyan lights at night, futuristic city with glowing tubes, dance floor",
        ),
        "minimal": (
            "minimal, minimalist, clean lines, understated, scandinavian, simple, airy, plain",
            "nothing but white space, quiet and pale design without ornament",
        ),
        "warm_film": (
            "cinematic, film look, warm film, golden hour, analogue film, filmic, kodak, candlelit",
            "warm orange light of a movie, sunset glow with film grain, cosy evening lamp light",
        ),
        "ink": (
            "ink drawing, ink wash, ink, sketch, calligraphy, etching, line art, woodcut, hand-drawn, manga",
            "black brush lines on white paper, japanese brush painting, pen hatching",
        ),
    }
)

COLOURS = _table(
    {
        "red": ("red, scarlet, crimson, ruby, cherry red, vermilion, brick red", "colour of blood and fire engines"),
        "burgundy": ("burgundy, oxblood, maroon, wine red, bordeaux, claret", "dark red like wine"),
        "orange": ("orange, coral, apricot, tangerine, terracotta, rust, peach", "colour between red and yellow"),
        "yellow": ("yellow, mustard, lemon yellow, canary, golden yellow, amber, saffron", "colour of the sun"),
        "green": ("green, emerald, forest green, sage, mint, jade, lime green, celadon", "colour of grass and leaves"),
        "olive": ("olive, khaki, army green, moss green, olive green", "brownish green of uniforms"),
        "teal": ("teal, turquoise, petrol, aqua, cyan, peacock", "colour between green and blue"),
        "blue": ("blue, azure, sky blue, cobalt, denim, indigo, royal blue, light blue", "colour of the sky and sea"),
        "navy": ("navy, navy blue, dark blue, midnight blue", "very dark blue"),
        "purple": ("purple, violet, lilac, lavender, plum purple, mauve, aubergine purple", "colour of amethyst"),
        "pink": ("pink, fuchsia, magenta, blush, rose pink, peony pink, salmon pink", "colour of bubblegum"),
        "brown": ("brown, chocolate brown, cognac, walnut, chestnut, tan, caramel, bronze, copper", "colour of wood"),
        "beige": ("beige, cream, sand, ivory, ecru, camel, oatmeal, off-white, nude", "pale sandy colour"),
        "white": ("white, snow white, porcelain white, chalk", "colour of snow and milk"),
        "grey": ("grey, gray, charcoal, slate, silver grey, graphite, ash", "colour of concrete and rain clouds"),
        "black": ("black, jet black, onyx, ebony, ink black, coal", "colour of night"),
        "gold": ("gold, golden, brass, gilt, gold-plated, rose gold, rose-gold", "shining precious yellow metal"),
        "silver": ("silver, chrome, stainless, steel, platinum", "shining pale metal"),
    }
)

SCENES = _table(
    {
        "studio": (
            "studio, seamless, plain background, white background, cut-out, packshot",
            "in front of an empty backdrop with soft light",
        ),
        "kitchen": (
            "kitchen, worktop, countertop, dining table, breakfast table, kitchen counter",
            "on the table at breakfast, while cooking",
        ),
        "living room": (
            "living room, sofa, couch, bedroom, fireplace, bedside, at home, armchair corner, lounge",
            "indoors in a cosy home, on a shelf beside the bed",
        ),
        "office": ("office, desk, meeting room, workplace, study", "at work beside the computer, in meetings"),
        "city": (
            "city, street, urban, downtown, skyline, rooftop, pavement, subway, commute, commuter",
            "among buildings and traffic, on the way to work",
        ),
        "nature": (
            "forest, mountain, meadow, garden, woods, outdoors, hiking trail, trail, countryside, picnic, park,"
            " camping",
            "outside among trees and grass, hiking in the hills",
        ),
        "beach": ("beach, seaside, ocean, sea, sand dunes, surf, poolside, coast, regatta", "by the water in summer"),
        "night": (
            "night, nightclub, dance floor, midnight street, stage, concert, party, club",
            "in the dark under coloured lights",
        ),
    }
)

MOTIONS = _table(
    {
        "push_in": (
            "push in, push-in, zoom in, zooms in, zoom, zooming, close-up, closer, dolly in, moves closer",
            "the camera slowly moves towards the product",
        ),
        "pan": (
            "pan, pans, panning, slides past, glides across, sideways, tracking shot, sweeps across",
            "the camera slides from left to right along the product",
        ),
        "orbit": (
            "orbit, orbits, orbiting, circles, circling, around the product, arc shot, camera moves around",
            "the camera travels in a circle around the product",
        ),
        "turntable": (
            "turntable, spins, spinning, rotates, rotating, 360, revolves, revolving, turns slowly, full turn, spin",
            "the product turns on a rotating plate",
        ),
        "none": (
            "still, static, motionless, no motion, locked camera, no camera movement, without motion",
            "nothing moves, a still photograph",
        ),
    }
)
