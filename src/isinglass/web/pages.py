"""The pages of the lab, in the order of the data: name -> what the rail says. `static/pages/NAME.js` is the page itself."""

PAGES = {
    "tokens": "Tokens",
    "predict": "Predict",
    "attention": "Attention",
    "layers": "Layers",
    "intervene": "Intervene",
    "generate": "Generate",
    "train": "Train",
    "embeddings": "Embeddings",
    "cost": "Cost",
    "ask": "Ask",
}
