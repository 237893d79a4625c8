"""Questions about real data, each with an answer that pandas worked out.

    python3 data_questions.py DATA_DIR OUT_DIR [SEED]

Every question is made by a family (what is asked), filled in with fields and values of one data
set that the seed draws, and said in each of six styles. Nothing here knows the composer. Four data
sets and one style are *frozen*: their questions go to files of their own (`frozen_*.jsonl`), to be
scored and not read while the composer is worked on.
"""

import json
import random
import sys
from pathlib import Path

import pandas as pd

FROZEN_STYLE = "analyst"
STYLES = ["plain", "order", "terse", "polite", "casual", "analyst"]

# file, one record, several records, label, numbers {column: words}, categories
# {column: (word, words)}, amounts that add up, time column
SETS = [
    ("cars.json", "car", "cars", "Name",
     {"Miles_per_Gallon": "miles per gallon", "Horsepower": "horsepower",
      "Weight_in_lbs": "weight", "Acceleration": "acceleration", "Displacement": "displacement"},
     {"Origin": ("origin", "origins"), "Cylinders": ("number of cylinders", "numbers of cylinders")},
     [], "Year"),
    ("seattle-weather.csv", "day", "days", "date",
     {"precipitation": "precipitation", "temp_max": "maximum temperature",
      "temp_min": "minimum temperature", "wind": "wind"},
     {"weather": ("weather", "weathers")}, ["precipitation"], "date"),
    ("stocks.csv", "record", "records", None, {"price": "price"},
     {"symbol": ("symbol", "symbols")}, [], "date"),
    ("movies.json", "movie", "movies", "Title",
     {"US Gross": "US gross", "Production Budget": "production budget",
      "IMDB Rating": "IMDB rating", "IMDB Votes": "IMDB votes"},
     {"Major Genre": ("major genre", "major genres"), "MPAA Rating": ("MPAA rating", "MPAA ratings"),
      "Distributor": ("distributor", "distributors")}, ["US Gross", "Production Budget"], None),
    ("birdstrikes.csv", "strike", "strikes", None,
     {"Cost Total $": "total cost", "Cost Repair": "repair cost",
      "Speed IAS in knots": "speed"},
     {"Origin State": ("origin state", "origin states"), "Phase of flight": ("phase of flight", "phases of flight"),
      "Wildlife Size": ("wildlife size", "wildlife sizes"), "Time of day": ("time of day", "times of day")},
     ["Cost Total $", "Cost Repair"], "Flight Date"),
    ("airports.csv", "airport", "airports", "name",
     {"latitude": "latitude", "longitude": "longitude"},
     {"state": ("state", "states"), "city": ("city", "cities"), "country": ("country", "countries")}, [], None),
    ("disasters.csv", "record", "records", None, {"Deaths": "deaths"},
     {"Entity": ("entity", "entities")}, ["Deaths"], None),
    ("barley.json", "record", "records", None, {"yield": "yield"},
     {"variety": ("variety", "varieties"), "site": ("site", "sites"), "year": ("year", "years")}, ["yield"], None),
    ("penguins.csv", "penguin", "penguins", None,
     {"bill_length_mm": "bill length", "bill_depth_mm": "bill depth",
      "flipper_length_mm": "flipper length", "body_mass_g": "body mass"},
     {"species": ("species", "species"), "island": ("island", "islands"), "sex": ("sex", "sexes")}, [], None),
    ("tips.csv", "record", "records", None,
     {"total_bill": "total bill", "tip": "tip"},
     {"sex": ("sex", "sexes"), "smoker": ("smoker", "smokers"), "day": ("day", "days"), "time": ("time", "times")},
     ["tip", "total_bill"], None),
    ("gapminder.csv", "record", "records", None,
     {"lifeExp": "life exp", "pop": "pop", "gdpPercap": "gdp percap"},
     {"continent": ("continent", "continents"), "country": ("country", "countries"), "year": ("year", "years")},
     ["pop"], None),
    ("mpg.csv", "car", "cars", None,
     {"displ": "displ", "cty": "cty", "hwy": "hwy"},
     {"manufacturer": ("manufacturer", "manufacturers"), "class": ("class", "classes"),
      "drv": ("drv", "drv values"), "cyl": ("cyl", "cyl values")}, [], None),
]
FROZEN = [
    ("msleep.csv", "animal", "animals", "name",
     {"sleep_total": "total sleep", "awake": "awake", "bodywt": "bodywt", "brainwt": "brainwt"},
     {"vore": ("vore", "vores"), "order": ("order", "orders"), "conservation": ("conservation", "conservations")},
     [], None),
    ("grunfeld.csv", "record", "records", None,
     {"invest": "invest", "capital": "capital"},
     {"firm": ("firm", "firms"), "year": ("year", "years")}, ["invest"], None),
    ("txhousing.csv", "record", "records", None,
     {"sales": "sales", "volume": "volume", "listings": "listings", "inventory": "inventory"},
     {"city": ("city", "cities"), "year": ("year", "years"), "month": ("month", "months")}, ["sales", "volume"], None),
    ("midwest.csv", "county", "counties", None,
     {"poptotal": "poptotal", "popdensity": "popdensity", "percollege": "percollege",
      "percbelowpoverty": "percbelowpoverty"},
     {"state": ("state", "states"), "category": ("category", "categories")}, ["poptotal"], None),
]

# Family: one template a style, in the order of STYLES.
ASKED = {
    "count": ["How many {es} are there?", "Count the {es}.", "number of {es}",
              "Could you tell me how many {es} are in the file?", "how many {es} do we have", "Report the total number of {es}."],
    "count_value": ["How many {es} have {c} {v}?", "Count the {es} where {c} is {v}.", "number of {es} with {c} = {v}",
                    "Could you please count the {es} whose {c} is {v}?", "how many {es} with {c} {v}", "Report the number of {es} for which {c} equals {v}."],
    "count_not": ["How many {es} do not have {c} {v}?", "Count the {es} where {c} is not {v}.", "number of {es} with {c} != {v}",
                  "Could you please count the {es} whose {c} is not {v}?", "how many {es} except {c} {v}", "Report the number of {es} excluding those with {c} {v}."],
    "count_over": ["How many {es} have {n} over {x}?", "Count the {es} with {n} above {x}.", "number of {es} with {n} > {x}",
                   "I would like to know how many {es} have a {n} greater than {x}.", "how many {es} with {n} more than {x}", "Report the number of {es} whose {n} exceeds {x}."],
    "count_between": ["How many {es} have {n} between {x} and {y}?", "Count the {es} with {n} between {x} and {y}.", "number of {es} with {n} from {x} to {y}",
                      "I would like to know how many {es} have a {n} between {x} and {y}.", "how many {es} got {n} between {x} and {y}", "Report the number of {es} whose {n} lies between {x} and {y}."],
    "count_two": ["How many {es} have {c} {v} and {n} below {x}?", "Count the {es} where {c} is {v} and {n} is less than {x}.", "number of {es} with {c} = {v} and {n} < {x}",
                  "Could you count the {es} whose {c} is {v} and whose {n} is under {x}?", "how many {es} with {c} {v} and {n} under {x}", "Report the number of {es} for which {c} is {v} and {n} is below {x}."],
    "count_or": ["How many {es} have {c} {v} or {w}?", "Count the {es} where {c} is {v} or {w}.", "number of {es} with {c} {v} or {w}",
                 "Could you please count the {es} whose {c} is either {v} or {w}?", "how many {es} with {c} {v} or {w}", "Report the number of {es} for which {c} is either {v} or {w}."],
    "mean": ["What is the average {n}?", "Calculate the mean {n}.", "average {n}",
             "Could you tell me the average {n} of the {es}?", "whats the average {n}", "Report the mean {n} across all {es}."],
    "sum": ["What is the total {a}?", "Add up the {a}.", "total {a}",
            "Could you tell me the total {a} of all {es}?", "whats the total {a}", "Report the sum of {a} across all {es}."],
    "median": ["What is the median {n}?", "Calculate the median {n}.", "median {n}",
               "Could you tell me the median {n} of the {es}?", "whats the median {n}", "Report the median of {n}."],
    "stdev": ["What is the standard deviation of {n}?", "Calculate the standard deviation of {n}.", "stdev {n}",
              "Could you work out the standard deviation of the {n}?", "whats the std of {n}", "Report the standard deviation of {n}."],
    "max": ["What is the highest {n}?", "Find the maximum {n}.", "max {n}",
            "Could you tell me the highest {n} of all {es}?", "whats the biggest {n}", "Report the maximum of {n}."],
    "min": ["What is the lowest {n}?", "Find the minimum {n}.", "min {n}",
            "Could you tell me the lowest {n} of all {es}?", "whats the smallest {n}", "Report the minimum of {n}."],
    "mean_value": ["What is the average {n} of {es} with {c} {v}?", "Calculate the mean {n} where {c} is {v}.", "average {n} for {c} {v}",
                   "I would like to know the average {n} of {es} whose {c} is {v}.", "average {n} when {c} is {v}", "Report the mean {n} restricted to {c} {v}."],
    "mean_or": ["What is the average {n} of {es} with {c} {v} or {w}?", "Calculate the mean {n} where {c} is {v} or {w}.", "average {n} for {c} {v} or {w}",
                "I would like to know the average {n} of {es} whose {c} is either {v} or {w}.", "average {n} when {c} is {v} or {w}", "Report the mean {n} restricted to {c} {v} or {w}."],
    "mean_by": ["What is the average {n} for each {c}?", "Calculate the mean {n} per {c}.", "average {n} by {c}",
                "I would like to see the average {n} for every {c}.", "average {n} per {c}", "Break the mean {n} down by {c}."],
    "median_by": ["What is the median {n} for each {c}?", "Show the median {n} per {c}.", "median {n} by {c}",
                  "Please give me the median {n} for every {c}.", "median {n} per {c}", "For each {c}, report the median {n}."],
    "sum_by": ["What is the total {a} for each {c}?", "Add up the {a} per {c}.", "total {a} by {c}",
               "I would like to see the total {a} for every {c}.", "total {a} per {c}", "For each {c}, report the sum of {a}."],
    "count_by": ["How many {es} are there per {c}?", "Count the {es} by {c}.", "{es} per {c}",
                 "Could you tell me how many {es} there are for each {c}?", "how many {es} for each {c}", "Tabulate the number of {es} by {c}."],
    "mean_by_two": ["What is the average {n} for each {c} and {d}?", "Calculate the mean {n} per {c} and {d}.", "average {n} by {c} and {d}",
                    "I would like to see the average {n} by {c} and {d}.", "average {n} per {c} and {d}", "Cross-tabulate the mean {n} by {c} and {d}."],
    "top_group": ["Which {c} has the highest average {n}?", "Find the {c} with the highest average {n}.", "{c} with highest average {n}",
                  "Could you tell me which {c} has the highest average {n}?", "which {c} has the biggest average {n}", "Identify the {c} with the greatest mean {n}."],
    "low_group": ["Which {c} has the lowest average {n}?", "Find the {c} with the lowest average {n}.", "{c} with lowest average {n}",
                  "Could you tell me which {c} has the lowest average {n}?", "which {c} has the smallest average {n}", "Identify the {c} with the lowest mean {n}."],
    "most_records": ["Which {c} has the most {es}?", "Find the {c} with the most {es}.", "{c} with most {es}",
                     "Could you tell me which {c} has the most {es}?", "what {c} has the most {es}", "Identify the {c} with the largest number of {es}."],
    "top_groups": ["What are the top {k} {cs} by average {n}?", "List the {k} {cs} with the highest average {n}.", "top {k} {cs} by average {n}",
                   "Please show me the {k} {cs} with the highest average {n}.", "top {k} {cs} by avg {n}", "Rank the top {k} {cs} by mean {n}."],
    "distinct": ["How many different {cs} are there?", "Count the distinct {cs}.", "number of unique {cs}",
                 "Could you tell me how many different {cs} there are?", "how many unique {cs}", "Report the number of distinct {cs}."],
    "values": ["What are the different {cs}?", "List the unique {cs}.", "distinct {cs}",
               "Could you list the different {cs}?", "whats the different {cs}", "Enumerate the distinct {cs}."],
    "percent": ["What percentage of {es} have {c} {v}?", "Calculate the percentage of {es} where {c} is {v}.", "percent of {es} with {c} {v}",
                "I would like to know what percentage of the {es} have {c} {v}.", "what share of {es} is {c} {v}", "Report the proportion (in percent) of {es} with {c} {v}."],
    "percent_over": ["What percentage of {es} have {n} over {x}?", "Calculate the percentage of {es} with {n} above {x}.", "percent of {es} with {n} > {x}",
                     "I would like to know what percentage of the {es} have a {n} greater than {x}.", "what share of {es} has {n} over {x}", "Report the percentage of {es} whose {n} exceeds {x}."],
    "share_by": ["What percentage of {es} does each {c} have?", "Show the percentage of {es} per {c}.", "share of {es} by {c}",
                 "Please show me the percentage of {es} for each {c}.", "percent of {es} per {c}", "Tabulate the percentage share of {es} by {c}."],
    "share_sum": ["What percentage of the total {a} does each {c} have?", "Show the share of total {a} per {c}.", "share of {a} by {c}",
                  "Please show me the percentage of total {a} for each {c}.", "percent of {a} per {c}", "Tabulate each {c}'s percentage share of total {a}."],
    "percentile": ["What is the {q}th percentile of {n}?", "Calculate the {q}th percentile of {n}.", "p{q} {n}",
                   "Could you tell me the {q}th percentile of the {n}?", "whats the p{q} of {n}", "Report the {q}th percentile for {n}."],
    "percentile_by": ["What is the {q}th percentile of {n} for each {c}?", "Calculate the {q}th percentile of {n} per {c}.", "p{q} {n} by {c}",
                      "Please show me the {q}th percentile of {n} for every {c}.", "p{q} of {n} per {c}", "For each {c}, report the {q}th percentile of {n}."],
    "second": ["Which {c} has the second highest average {n}?", "Find the {c} with the second highest average {n}.", "{c} with second highest average {n}",
               "Could you tell me which {c} has the second highest average {n}?", "which {c} has the second biggest average {n}", "Identify the {c} with the second highest mean {n}."],
    "top_record": ["Which {e} has the highest {n}?", "Find the {e} with the highest {n}.", "{e} with highest {n}",
                   "Could you tell me which {e} has the highest {n}?", "what {e} has the biggest {n}", "Identify the {e} with the greatest {n}."],
    "top_records": ["What are the {k} {es} with the highest {n}?", "List the top {k} {es} by {n}.", "top {k} {es} by {n}",
                    "Please show me the {k} {es} with the highest {n}.", "{k} {es} with the most {n}", "Rank the top {k} {es} by {n}."],
    "top_each": ["Which {e} has the highest {n} in each {c}?", "Find the {e} with the highest {n} for each {c}.", "{e} with highest {n} per {c}",
                 "Please show me the {e} with the highest {n} in every {c}.", "top {e} by {n} for each {c}", "For each {c}, identify the {e} with the greatest {n}."],
    "max_by": ["What is the highest {n} in each {c}?", "Show the maximum {n} per {c}.", "max {n} by {c}",
               "Please show me the highest {n} for every {c}.", "highest {n} per {c}", "For each {c}, report the maximum {n}."],
    "difference": ["What is the difference in average {n} between {c} {v} and {w}?", "Calculate the difference in average {n} between {v} and {w}.", "difference in average {n} between {v} and {w}",
                   "Could you work out the difference in average {n} between {v} and {w}?", "whats the difference in average {n} between {v} and {w}", "Report the difference in mean {n} between {v} and {w}."],
    "ratio": ["What is the ratio of {v} to {w} {es}?", "Calculate the ratio of {v} to {w} {es}.", "ratio of {v} to {w}",
              "Could you work out the ratio of {v} to {w} {es}?", "whats the ratio of {v} to {w} {es}", "Report the ratio of {v} to {w} {es}."],
    "missing": ["How many {es} have no {n}?", "Count the {es} with missing {n}.", "number of {es} without {n}",
                "Could you tell me how many {es} have a missing {n}?", "how many {es} are missing {n}", "Report the number of {es} lacking {n}."],
    "year_count": ["How many {es} are there per year?", "Count the {es} by year.", "{es} per year",
                   "Could you tell me how many {es} there are in each year?", "how many {es} each year", "Tabulate {es} by year."],
    "month_mean": ["What is the average {n} per month?", "Calculate the monthly average {n}.", "average {n} by month",
                   "I would like to see the average {n} for every month.", "avg {n} per month", "Report the mean {n} by month."],
    "year_change": ["How did the average {n} change from year to year?", "Calculate the change in average {n} from year to year.", "year over year change in average {n}",
                    "Please show me the change in average {n} from year to year.", "how much did average {n} change each year", "Report the year-on-year change in mean {n}."],
    "running": ["What is the running total of {a} per year?", "Show the running total of {a} by year.", "running total of {a} by year",
                "Please show me the cumulative {a} per year.", "cumulative {a} per year", "Report the cumulative sum of {a} by year."],
    "since": ["How many {es} are there since {yr}?", "Count the {es} since {yr}.", "number of {es} since {yr}",
              "Could you tell me how many {es} there are since {yr}?", "how many {es} since {yr}", "Report the number of {es} since {yr}."],
    "in_year": ["What was the average {n} in {yr}?", "Calculate the mean {n} in {yr}.", "average {n} in {yr}",
                "Could you tell me the average {n} in {yr}?", "average {n} during {yr}", "Report the mean {n} for {yr}."],
    "duplicates": ["How many duplicate {es} are there?", "Count the duplicate {es}.", "number of duplicate {es}",
                   "Could you tell me how many duplicated {es} there are?", "how many duplicates are there", "Report the number of duplicate {es}."],
}


def number(x):
    """A bound as a person says it."""
    if abs(x) >= 100:
        return int(float(f"{x:.2g}"))
    return round(x, 1) if abs(x) >= 1 else round(x, 2)


def said(v):
    return str(int(v)) if isinstance(v, float) and v.is_integer() else str(v)


class Unfit(Exception):
    """The family does not fit the data set, or its answer would not be clear."""


class Asker:
    def __init__(self, spec, frame, rng):
        (self.file, self.one, self.many, self.label, self.numbers, self.cats, self.amounts, self.time) = spec
        self.f, self.rng = frame, rng

    def num(self):
        return self.rng.choice(sorted(self.numbers))

    def cat(self, few=60, other=None):
        fits = [c for c in sorted(self.cats) if c != other and 2 <= self.f[c].nunique() <= few]
        if not fits:
            raise Unfit
        return self.rng.choice(fits)

    def amount(self):
        if not self.amounts:
            raise Unfit
        return self.rng.choice(self.amounts)

    def value(self, c, other=None):
        """A value of a category that a person can say: in one column only, plain words."""
        counts = self.f[c].value_counts()
        good = []
        for v, n in counts.items():
            s = said(v)
            clear = n >= 3 and len(s) >= 2 and v != other and len(s) < 25 and " or " not in s and " and " not in s
            if clear and all(ch.isalnum() or ch in " -." for ch in s):
                elsewhere = sum(1 for k in self.f.columns if k != c and self.f[k].dtype == object and (self.f[k] == v).any())
                if not elsewhere:
                    good.append(v)
        if not good:
            raise Unfit
        return self.rng.choice(good[:12])

    def bound(self, n, low=0.2, high=0.8):
        q = self.f[n].dropna().quantile(self.rng.uniform(low, high))
        x = number(q)
        if not 0 < (self.f[n] > x).sum() < len(self.f):
            raise Unfit
        return x

    def best(self, series, k=1, ascending=False, at=0):
        """The first k keys, where no tie makes them unclear."""
        s = series.dropna().sort_values(ascending=ascending)
        if len(s) <= k + at:
            raise Unfit
        values = list(s.values[: k + at + 1])
        if any(abs(a - b) <= 1e-9 * max(1, abs(a)) for a, b in zip(values, values[1:])):
            raise Unfit
        return [said(i) for i in s.index[at : at + k]]

    def years(self):
        if not self.time:
            raise Unfit
        t = pd.to_datetime(self.f[self.time], errors="coerce", format="mixed")
        if t.dt.year.nunique() < 2:
            raise Unfit
        return t

    def ask(self, family):
        f, w = self.f, {"e": self.one, "es": self.many}

        def n():
            c = self.num()
            w["n"] = self.numbers[c]
            return c

        def c(key="c", few=60, other=None):
            k = self.cat(few, other)
            w[key], w[key + "s"] = self.cats[k]
            return k

        def v(k, key="v", other=None):
            x = self.value(k, other)
            w[key] = said(x)
            return x

        def a():
            k = self.amount()
            w["a"] = self.numbers[k]
            return k

        def x(k, key="x", low=0.2, high=0.8):
            w[key] = self.bound(k, low, high)
            return w[key]

        def num(value):
            if value is None or pd.isna(value):
                raise Unfit
            return {"kind": "number", "value": float(value)}

        def table(series, few=200):
            s = series.dropna()
            if not 2 <= len(s) <= few:
                raise Unfit
            return {"kind": "map", "value": {said(k) if not isinstance(k, tuple) else "|".join(map(said, k)): float(x) for k, x in s.items()}}

        def names(keys, field):
            return {"kind": "names", "field": field, "value": keys}

        if family == "count":
            out = num(len(f))
        elif family == "count_value":
            k = c(); out = num((f[k] == v(k)).sum())
        elif family == "count_not":
            k = c(few=30); val = v(k)
            if f[k].isna().any():
                raise Unfit
            out = num((f[k] != val).sum())
        elif family == "count_over":
            k = n(); out = num((f[k] > x(k)).sum())
        elif family == "count_between":
            k = n(); lo, hi = x(k, "x", 0.1, 0.4), x(k, "y", 0.6, 0.9)
            if lo >= hi:
                raise Unfit
            out = num(((f[k] >= lo) & (f[k] <= hi)).sum())
        elif family == "count_two":
            k, m = c(), n(); out = num(((f[k] == v(k)) & (f[m] < x(m))).sum())
        elif family == "count_or":
            k = c(); p = v(k); q = v(k, "w", p); out = num(f[k].isin([p, q]).sum())
        elif family == "mean":
            out = num(f[n()].mean())
        elif family == "sum":
            out = num(f[a()].sum())
        elif family == "median":
            out = num(f[n()].median())
        elif family == "stdev":
            out = num(f[n()].std())
        elif family == "max":
            out = num(f[n()].max())
        elif family == "min":
            out = num(f[n()].min())
        elif family == "mean_value":
            k, m = c(), n(); out = num(f[f[k] == v(k)][m].mean())
        elif family == "mean_or":
            k, m = c(), n(); p = v(k); q = v(k, "w", p); out = num(f[f[k].isin([p, q])][m].mean())
        elif family == "mean_by":
            k, m = c(), n(); out = table(f.groupby(k)[m].mean())
        elif family == "median_by":
            k, m = c(), n(); out = table(f.groupby(k)[m].median())
        elif family == "sum_by":
            k, m = c(), a(); out = table(f.groupby(k)[m].sum())
        elif family == "count_by":
            k = c(); out = table(f.groupby(k).size())
        elif family == "mean_by_two":
            k, m = c(few=12), n(); d = c("d", 12, k); out = table(f.groupby([k, d])[m].mean())
        elif family == "top_group":
            k, m = c(), n(); out = names(self.best(f.groupby(k)[m].mean()), k)
        elif family == "low_group":
            k, m = c(), n(); out = names(self.best(f.groupby(k)[m].mean(), ascending=True), k)
        elif family == "most_records":
            k = c(few=500); out = names(self.best(f.groupby(k).size()), k)
        elif family == "top_groups":
            k, m = c(few=500), n(); w["k"] = self.rng.choice([2, 3, 5]); out = names(self.best(f.groupby(k)[m].mean(), w["k"]), k)
        elif family == "distinct":
            k = c(few=2000); out = num(f[k].nunique())
        elif family == "values":
            k = c(few=40); out = {"kind": "set", "value": sorted(said(i) for i in f[k].dropna().unique())}
        elif family == "percent":
            k = c(); out = num(100 * (f[k] == v(k)).mean())
        elif family == "percent_over":
            k = n()
            if f[k].isna().any():
                raise Unfit
            out = num(100 * (f[k] > x(k)).mean())
        elif family == "share_by":
            k = c()
            if f[k].isna().any():
                raise Unfit
            out = table(100 * f.groupby(k).size() / len(f))
        elif family == "share_sum":
            k, m = c(), a()
            if f[k].isna().any():
                raise Unfit
            out = table(100 * f.groupby(k)[m].sum() / f[m].sum())
        elif family == "percentile":
            m, w["q"] = n(), self.rng.choice([90, 95, 75]); out = num(f[m].quantile(w["q"] / 100))
        elif family == "percentile_by":
            k, m, w["q"] = c(few=20), n(), self.rng.choice([90, 95, 75]); out = table(f.groupby(k)[m].quantile(w["q"] / 100))
        elif family == "second":
            k, m = c(), n(); out = names(self.best(f.groupby(k)[m].mean(), 1, at=1), k)
        elif family in ("top_record", "top_records", "top_each"):
            if not self.label:
                raise Unfit
            m = n(); s = f.dropna(subset=[m, self.label])
            if family == "top_record":
                out = names(self.best(s.set_index(self.label)[m]), self.label)
            elif family == "top_records":
                w["k"] = self.rng.choice([3, 5]); out = names(self.best(s.set_index(self.label)[m], w["k"]), self.label)
            else:
                k = c(few=12); top = {}
                for key, g in s.groupby(k):
                    if len(g) < 2:
                        raise Unfit
                    top[said(key)] = self.best(g.set_index(self.label)[m])[0]
                out = {"kind": "labels", "group": k, "field": self.label, "value": top}
        elif family == "max_by":
            k, m = c(), n(); out = table(f.groupby(k)[m].max())
        elif family == "difference":
            k, m = c(), n(); p = v(k); q = v(k, "w", p)
            out = num(f[f[k] == p][m].mean() - f[f[k] == q][m].mean()); out["sign"] = "any"
        elif family == "ratio":
            k = c(); p = v(k); q = v(k, "w", p); out = num((f[k] == p).sum() / (f[k] == q).sum())
        elif family == "missing":
            k = n()
            if not f[k].isna().any():
                raise Unfit
            out = num(f[k].isna().sum())
        elif family == "year_count":
            t = self.years(); out = table(f.groupby(t.dt.year).size())
        elif family == "month_mean":
            t = self.years(); m = n(); out = table(f.groupby(t.dt.strftime("%Y-%m"))[m].mean(), 2000)
        elif family == "year_change":
            t = self.years(); m = n(); out = table(f.groupby(t.dt.year)[m].mean().diff())
        elif family == "running":
            t = self.years(); m = a(); out = table(f.groupby(t.dt.year)[m].sum().cumsum())
        elif family == "since":
            t = self.years(); ys = sorted(t.dt.year.dropna().unique()); w["yr"] = int(self.rng.choice(ys[1:])); out = num((t.dt.year >= w["yr"]).sum())
        elif family == "in_year":
            t = self.years(); m = n(); ys = sorted(t.dt.year.dropna().unique()); w["yr"] = int(self.rng.choice(ys)); out = num(f[t.dt.year == w["yr"]][m].mean())
        elif family == "duplicates":
            out = num(f.duplicated().sum())
        return w, out


def load(path):
    if path.suffix == ".json":
        return pd.read_json(path, convert_dates=False)
    return pd.read_csv(path, keep_default_na=False, na_values=["", "NA"])


def main():
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    out.mkdir(parents=True, exist_ok=True)
    files = {k: [] for k in ("questions", "frozen_style", "frozen_sets")}
    for spec in SETS + FROZEN:
        path = data / spec[0]
        if not path.exists():
            print(f"{spec[0]} is not there: left out", file=sys.stderr)
            continue
        frame = load(path).astype(object).infer_objects()
        rng = random.Random(f"{seed}/{spec[0]}")
        families = list(ASKED)
        rng.shuffle(families)
        made = 0
        for family in families:
            if made == 16:
                break
            asker = Asker(spec, frame, rng)
            for _ in range(6):
                try:
                    words, answer = asker.ask(family)
                    break
                except Unfit:
                    continue
            else:
                continue
            made += 1
            for style, template in zip(STYLES, ASKED[family]):
                item = {"id": f"{spec[0]}/{family}/{style}", "data": spec[0], "family": family, "style": style,
                        "question": template.format(**words), "answer": answer}
                frozen = "frozen_sets" if spec in FROZEN else "frozen_style" if style == FROZEN_STYLE else "questions"
                files[frozen].append(item)
    for name, items in files.items():
        (out / f"{name}.jsonl").write_text("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items))
        print(f"{name}: {len(items)}")


main()
