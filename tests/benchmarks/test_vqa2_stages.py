from benchmarks.vqa2_stages import CONFIG, FIRST, ORDERS, STRENGTHS, report
from config.load import load_settings


def test_its_settings_are_those_of_two_stages_and_its_table_has_mean_and_spread() -> None:
    settings = load_settings(CONFIG)
    first, second = (settings.pipelines[name].branches for name in ("strengths", "stage2"))
    assert {*FIRST} <= {*settings.pipelines} and first == second
    assert tuple(settings.tasks["strength"].form.words) == STRENGTHS
    figures = [
        {"order": order, "seed": seed, "kinds": 0.5 + seed / 10, "from kinds": 0.8, "from scratch": 0.7}
        for order in ORDERS
        for seed in range(3)
    ]
    lines = report(figures).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(ORDERS)
    assert "0.600 ± 0.100" in lines[2] and "0.800 ± 0.000" in lines[2]
