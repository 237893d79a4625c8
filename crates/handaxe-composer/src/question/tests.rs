//! Questions against small inline data: what each is read as, and what is refused.

use crate::profile::{Profile, profile_path};
use crate::{evaluate, words};

use super::{Refusal, read};

const ORDERS: &str = "order_id,date,region,city,product,quantity,price,returned\n\
    1,2026-01-03,Europe,Lisbon,lamp,2,20.5,no\n\
    2,2026-01-09,Asia,Hanoi,chair,1,70.0,yes\n\
    3,2026-02-11,Asia,Osaka,lamp,4,22.0,no\n\
    4,2026-02-20,Africa,Accra,desk,1,180.0,no\n\
    5,2026-03-02,Europe,Oslo,chair,3,75.0,yes\n\
    6,2026-03-28,Europe,Lisbon,desk,2,171.0,no\n";

const LOGS: &str = "{\"time\":\"2026-03-01T08:09:26Z\",\"level\":\"INFO\",\"service\":\"auth\",\"message\":\"User signed in from somewhere far away\",\"duration_ms\":30}\n\
    {\"time\":\"2026-03-01T09:10:26Z\",\"level\":\"ERROR\",\"service\":\"auth\",\"message\":\"Connection timeout after many retries today\",\"duration_ms\":900}\n\
    {\"time\":\"2026-03-02T08:11:26Z\",\"level\":\"ERROR\",\"service\":\"mailer\",\"message\":\"Delivery refused by the remote mail host\",\"duration_ms\":null}\n";

fn with<T>(name: &str, text: &str, run: impl FnOnce(&Profile) -> T) -> T {
    let dir = std::env::temp_dir().join(format!(
        "handaxe-question-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    let profile = profile_path(name, &path).unwrap();
    let out = run(&profile);
    std::fs::remove_dir_all(&dir).unwrap();
    out
}

/// The steps after reading, and a part of the result.
#[track_caller]
fn check(name: &str, text: &str, table: &[(&str, &str, &str)]) {
    with(name, text, |profile| {
        for (question, steps, result) in table {
            let reading = read(question, profile).unwrap_or_else(|e| panic!("{question}: {e}"));
            let said = words::steps(&reading.chain, name, None)[1..].join(" ");
            assert!(said.contains(steps), "{question}: {said}");
            let value = evaluate(&reading.chain, text.as_bytes())
                .unwrap()
                .to_string();
            assert!(value.contains(result), "{question}: {value}");
        }
    });
}

#[test]
fn tables() {
    check(
        "orders.csv",
        ORDERS,
        &[
            ("how many orders", "Count them.", r#""count":6"#),
            (
                "How many orders per region?",
                "by region",
                r#"{"group":{"region":"Europe"},"values":{"count":3}}"#,
            ),
            (
                "total quantity in Europe",
                "region is \"Europe\"",
                r#""sum(quantity)":7"#,
            ),
            (
                "which region has the highest average price",
                "largest first",
                r#""Africa""#,
            ),
            (
                "average price of returned chairs",
                "product is \"chair\"",
                "72.5",
            ),
            (
                "how many orders were not returned",
                "returned is \"no\"",
                r#""count":4"#,
            ),
            (
                "what share of orders was returned",
                "Work out the percentage of these records where returned is \"yes\"",
                r#""value":33.333333333333336"#,
            ),
            (
                "average price in Europe or Asia",
                "region is \"Europe\" or \"Asia\"",
                "71.7",
            ),
            (
                "share of quantity by region",
                "as a percentage of the sum",
                r#""sum(quantity)":7.6923076923076925"#,
            ),
            (
                "90th percentile of price by region",
                "the 90th percentile of price",
                r#""p90(price)":151.8"#,
            ),
            (
                "running total of quantity per month",
                "the total up to each",
                r#""bucket":"2026-02","records":2,"value":8"#,
            ),
            (
                "change in total quantity from month to month",
                "the change from each to the next",
                r#""bucket":"2026-03","records":2,"value":0"#,
            ),
            (
                "difference in average price between Europe and Asia",
                "take the second from the first",
                r#""value":42.8"#,
            ),
            (
                "ratio of Europe to Asia orders",
                "divide the first",
                r#""value":1.5"#,
            ),
            (
                "which region has the second highest average price",
                "Pass over the first 1 row",
                "Europe",
            ),
            (
                "the order with the highest price in each region",
                "Do so for each value of region",
                r#""order_id":"4""#,
            ),
            (
                "how many duplicate orders",
                "the same, field for field",
                r#""count":0"#,
            ),
            (
                "how many duplicates by region and city",
                "have the same region and city as one before them",
                r#""count":1,"distinct":5"#,
            ),
            (
                "count the duplicate rows based on product",
                "have the same product as one before them",
                r#""count":3,"distinct":3"#,
            ),
            (
                "how many distinct combinations of region and product are there",
                "the different combinations",
                r#""distinct":6"#,
            ),
            (
                "how many unique region and city pairs",
                "the different combinations",
                r#""distinct":5"#,
            ),
            (
                "total price by region and city",
                "Group the records by region and city",
                r#""groups_total":5"#,
            ),
            (
                "which region and city has the highest total price",
                "region and city",
                r#"{"group":{"city":"Lisbon","region":"Europe"}"#,
            ),
            (
                "orders with price over 100",
                "price is above 100",
                r#""matched":2"#,
            ),
            (
                "orders with price between 70 and 100",
                "at least 70 and price is at most 100",
                r#""matched":2"#,
            ),
            (
                "the 2 cheapest orders",
                "Order the records by price, smallest first.",
                r#""order_id":"1""#,
            ),
            (
                "orders per month",
                "by the month in date",
                r#""bucket":"2026-02""#,
            ),
            (
                "how many orders since February",
                "at least \"2026-02\"",
                r#""count":4"#,
            ),
            (
                "how many orders after February 2026",
                "above \"2026-02\"",
                r#""count":2"#,
            ),
            (
                "which products were returned",
                "different values of product",
                r#"["chair"]"#,
            ),
            (
                "minimum and maximum price",
                "the smallest price and the largest price",
                "180.0",
            ),
            (
                "top 2 products by quantity",
                "the total of quantity",
                r#""lamp""#,
            ),
            ("convert to json lines", "JSON Lines", "converted.jsonl"),
            ("what is in this file?", "For each field", r#""fields""#),
            ("average cost by city", "the average of price", "Lisbon"),
        ],
    );
}

#[test]
fn tables_of_two_ways() {
    check(
        "orders.csv",
        ORDERS,
        &[
            (
                "total quantity by region and product as a table",
                "a row for each value of region and a column for each value of product",
                r#""columns":["chair","desk","lamp"]"#,
            ),
            (
                "quantity by region and quarter as columns",
                "a column for each quarter in date",
                r#"{"row":"Africa","values":[1]}"#,
            ),
            (
                "orders with one row per month and one column per region",
                "a row for each month in date and a column for each value of region",
                r#"{"row":"2026-01","values":[0,1,1]}"#,
            ),
            (
                "average price with products as rows and regions as columns",
                "a row for each value of product and a column for each value of region",
                r#"{"row":"desk","values":[180.0,null,171.0]}"#,
            ),
            (
                "quantity by region",
                "the total of quantity",
                r#""sum(quantity)":7"#,
            ),
        ],
    );
}

#[test]
fn times_count_back_from_the_data() {
    check(
        "orders.csv",
        ORDERS,
        &[
            (
                "how many orders in the last 30 days",
                "date is at least \"2026-02-27\" and date is at most \"2026-03-28\"",
                r#""count":2"#,
            ),
            (
                "total quantity this month",
                "date is \"2026-03\"",
                r#""sum(quantity)":5"#,
            ),
            (
                "orders since last month by region",
                "at least \"2026-02\"",
                "Africa",
            ),
            (
                "how many orders in the past 2 weeks, as of 2026-02-20",
                "at least \"2026-02-07\" and date is at most \"2026-02-20\"",
                r#""count":2"#,
            ),
            (
                "orders over the past year",
                "at least \"2025-03-29\"",
                r#""matched":6"#,
            ),
        ],
    );
}

#[test]
fn records_out() {
    check(
        "orders.csv",
        ORDERS,
        &[
            (
                "remove duplicate rows by city",
                "with the same city keep the first",
                r#""removed":1"#,
            ),
            (
                "drop the duplicate orders",
                "field for field, keep the first",
                r#""removed":0"#,
            ),
            (
                "upper-case and trim the cities and save as json",
                "Write in capitals city. Cut blanks off the ends of city.",
                r#""changed":6"#,
            ),
            (
                "sort by region then price descending and save as tsv",
                "Order them by region (smallest first), then price (largest first).",
                "cleaned.tsv",
            ),
            (
                "save the 2 cheapest orders as json",
                "Order them by price (smallest first). Give the first 2 of them.",
                r#""written":2"#,
            ),
            (
                "convert region and price to json",
                "Write their region and price",
                "cleaned.json",
            ),
        ],
    );
}

#[test]
fn logs() {
    check(
        "logs.jsonl",
        LOGS,
        &[
            (
                "how many errors per service",
                "level is \"ERROR\"",
                r#""mailer""#,
            ),
            (
                "messages containing timeout",
                "message contains \"timeout\"",
                r#""matched":1"#,
            ),
            (
                "analyze the sentiment of these logs",
                "Score each message",
                r#""totals""#,
            ),
            (
                "how many logs have no duration",
                "duration_ms is missing",
                r#""count":1"#,
            ),
            ("errors per day", "by the day in time", "2026-03-02"),
            (
                "which service is slowest on average",
                "the average of duration_ms",
                r#""auth""#,
            ),
        ],
    );
    check(
        "app.log",
        "2026-01-01 10:00:00 GET /admin 10.0.0.1\n2026-01-01 11:00:00 GET / 10.0.0.2\n",
        &[
            (
                "how many lines contain \"/admin\"",
                "line contains",
                r#""count":1"#,
            ),
            ("top 5 ip addresses", "IP address", "10.0.0.1"),
            ("requests per hour", "by the hour", "2026-01-01T11"),
        ],
    );
}

#[test]
fn lines_of_a_text() {
    check(
        "app.log",
        "2026-01-01 10:00:00 start\n2026-01-01 10:00:00 start\n2026-01-01 11:00:00 stop\n",
        &[
            ("how many lines are there", "Count them.", r#""count":3"#),
            ("number of lines", "Count them.", r#""count":3"#),
            (
                "how many lines contain 10:00:00",
                "contains \"10:00:00\"",
                r#""count":2"#,
            ),
            ("how many unique lines", "", r#""distinct(line)":2"#),
            ("lines per hour", "by the hour", r#""value":2"#),
            ("how many lines per day", "by the day", r#""value":3"#),
        ],
    );
    // Years that are not there are not made up.
    with(
        "syslog",
        "Feb 27 01:05:28 web1 cron: a\nFeb 28 01:05:28 web1 cron: b\n",
        |p| {
            let refused = read("lines per day", p).unwrap_err();
            assert!(matches!(refused, Refusal::Unfit { .. }), "{refused}");
        },
    );
}

#[test]
fn spreadsheets_of_the_decimal_comma() {
    check(
        "export.csv",
        "\u{feff}Kunde;Ort;Betrag;Datum\r\n\"Weiß; Partner\";Köln;1.234,50;05.04.2025\r\n\
            \"Müller \"\"M\"\" GmbH\";Graz;0,250;06.04.2025\r\nSchäfer;Köln;7,25;01.05.2025\r\n",
        &[
            ("sum of Betrag", "", "1242.0"),
            ("total Betrag by Ort", "", "1241.75"),
            ("records per month", "by the month", "2025-05"),
            ("smallest Betrag", "", "0.25"),
            ("how many records in Köln", "", r#""count":2"#),
            ("list the Kunde", "", "Weiß; Partner"),
            ("records after 30.04.2025", "", "Schäfer"),
        ],
    );
}

#[test]
fn words_of_the_document() {
    check(
        "page.json",
        r#"{"meta":{"page":1},"orders":[{"city":"Wien","total":2.5},{"city":"Wien","total":"NA"},{"city":"Graz","total":4}]}"#,
        &[
            ("how many orders", "Count them.", r#""count":3"#),
            (
                "how many orders with city \"wien\"",
                "city is \"Wien\"",
                r#""count":2"#,
            ),
            (
                "how many cities are wien",
                "city is \"Wien\"",
                r#""count":2"#,
            ),
            (
                "orders with total over 3",
                "total is above 3",
                r#""matched":1"#,
            ),
            (
                "total per city",
                "the total of total",
                r#""sum(total)":2.5"#,
            ),
            ("average total", "the average of total", "3.25"),
        ],
    );
    check(
        "people.csv",
        "name,salary,team\nAnn,\"$49,280\",R&D\nBo,\"$180,667\",Sales\nCy,n/a,Sales\n",
        &[
            ("who has the highest salary", "largest first", "Bo"),
            ("what is the highest salary", "the largest salary", "180667"),
        ],
    );
}

#[test]
fn refusals() {
    let refused = |question: &str| with("orders.csv", ORDERS, |p| read(question, p).err());
    for question in [
        "how many orders in Texas",
        "average weight",
        "which customers complained",
        "total revenue by region",
        "how many GET orders",
        "how many orders in Europe and Asia",
        "average price in Europe or on Monday",
        "what share of chairs was returned",
        "percentage of the average price by region",
        "running total of the average price per month",
        "difference in price between Europe and Asia",
        "second order",
        "compare regions",
        "duplicates by region and city",
        "how many duplicates per region",
        "how many duplicate cities",
        "how many duplicates by month",
        "how many distinct regions and products",
        "how many region and city pairs",
        "which regions and products have the highest total price",
        "which region and month has the highest total price",
        "predict the price",
        "orders over 100",
        "delete all orders from Asia",
        "write a poem about chairs",
        "",
        "????",
        "hello",
        "average",
        "top by",
        "ößy жуки 漢字 y",
    ] {
        assert!(refused(question).is_some(), "{question} was answered");
    }
    assert!(matches!(
        refused("orders over 100"),
        Some(Refusal::Ambiguous { .. })
    ));
    assert!(matches!(
        refused("hello"),
        Some(Refusal::NotAboutData { .. })
    ));
    let Some(Refusal::NotUnderstood { words, .. }) = refused("average price of purple lamps")
    else {
        panic!("not refused for its word");
    };
    assert_eq!(words, ["purple"]);
}

/// What is compared is not what is asked for.
#[test]
fn who_asks_for_people() {
    check(
        "staff.csv",
        "name,dept,salary,joined\nAda,Lab,120,2019-03-01\nBob,Ops,83,2021-07-15\nCy,Lab,99,2020-01-20\nDee,Ops,70,2022-05-05\n",
        &[
            ("who joined before 2021?", "", "Ada"),
            ("who is in Ops?", "", "Bob"),
            ("list the dept except Ops", "", "Lab"),
        ],
    );
}
