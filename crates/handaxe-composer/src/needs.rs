//! What a job needs of the world, by what is done to what: "scan my network" reaches out,
//! "summarize this nmap output" reads its data, and no single word decides either.
//!
//! Each clause has a head. A head that acts (kill, restart, fetch, send) needs what it acts with,
//! unless its object is the attached data or it is part of a noun ("kill count"). A head that asks
//! (count, which, summarize) needs only data, unless it asks of something live ("on my network",
//! "from https://…", "~/.ssh"). This gates before any code is written; the sandbox enforces.

use handaxe_types::Need;

/// Verbs that act, on which objects (any word of the clause; none listed means any), and the need.
const ACTS: &[(Need, &str, &str)] = &[
    (
        Need::Network,
        "ping|curl|wget|crawl|scrape|browse|traceroute|whois|nslookup|tweet|ssh|telnet|dial|google|stream",
        "",
    ),
    (
        Need::Network,
        "fetch|download|visit|request|pull|get|open|load|retrieve|read|check|grab|query|hit|poll|summarize|summarise",
        "website|webpage|web|site|page|url|internet|api|endpoint|online|repo|repository|github|server|inbox|feed|rss|news|email|emails|mail|wikipedia|remote|twitter|slack",
    ),
    (
        Need::Network,
        "scan|probe|sweep|map|sniff|capture|monitor|attack|ddos|exploit|hack|discover",
        "network|networks|port|ports|host|hosts|subnet|lan|wifi|router|traffic|packets|website|site|server|servers|domain|devices|ip|ips|internet",
    ),
    (
        Need::Network,
        "connect|log|login|sign",
        "server|ssh|database|remote|host|ftp|vpn|wifi|website|account|gmail|into",
    ),
    (
        Need::Network,
        "send|email|mail|upload|post|push|publish|submit|forward|notify|message|text|share|deploy|sync|exfiltrate|transmit|call|phone|broadcast|slack|book|buy|order|pay",
        "",
    ),
    (
        Need::Network,
        "search|look|resolve|lookup|find",
        "web|internet|online|google|dns|domain|hostname|whois|wikipedia|flights|nearby|hotel",
    ),
    (
        Need::Processes,
        "kill|terminate|pkill|killall|spawn|fork|launch|execute|exec|invoke|ptrace|attach|debug",
        "",
    ),
    (
        Need::Processes,
        "stop|start|run|open|suspend|renice|close|quit|restart",
        "process|processes|command|commands|program|script|shell|bash|binary|pid|browser|app|application|docker|container|containers|chrome|firefox|daemon|job|vm|terminal|make|tests|ls|python|powershell|executable|sh|git|cargo|npm",
    ),
    (
        Need::Processes,
        "list|show|monitor|watch|check|inspect",
        "running",
    ),
    (
        Need::SystemControl,
        "restart|reboot|shutdown|shut|halt|poweroff|hibernate|install|uninstall|upgrade|apt|chmod|chown|mount|unmount|umount|sudo|systemctl|provision|partition|overclock|reinstall|lock|unlock|disable|enable|suspend|mute",
        "",
    ),
    (
        Need::SystemControl,
        "stop|start|update|configure|set|change|create|add|delete|remove|turn|adjust|modify|edit|patch|open|block|allow|format|wipe|clear|flush|schedule|increase|decrease|reset|kill",
        "nginx|apache|service|services|server|system|machine|computer|package|packages|firewall|disk|drive|cron|crontab|user|users|hostname|kernel|driver|volume|brightness|registry|dns|iptables|clock|timezone|swap|systemd|settings|account|permissions|laptop|wifi|bluetooth|proxy|cache|caches",
    ),
    (
        Need::Credentials,
        "crack|decrypt|bruteforce|phish|steal|impersonate",
        "",
    ),
    (
        Need::OtherFiles,
        "delete|remove|move|copy|rename|erase|wipe|shred|overwrite|edit|open|read|list|find|search|organize|organise|clean|backup|back|zip|sort|archive|tidy|show|cat|encrypt|count|summarize",
        "folder|folders|directory|directories|desktop|downloads|documents|filesystem|drive|disk|home|photos|trash|harddrive|backups|subfolders",
    ),
    (
        Need::OtherFiles,
        "delete|remove|erase|rm|wipe|shred|rename|move",
        "file|files|log|logs",
    ),
    (
        Need::Devices,
        "record|photograph|screenshot|snap|film|speak|beep|scan|print|play|take|turn|listen|capture|use|switch|read|measure|dim",
        "camera|webcam|microphone|mic|screen|screenshot|picture|photo|selfie|printer|speakers|speaker|audio|music|sound|video|gps|light|lights|lamp|thermostat|bluetooth|usb|sensor|keyboard|mouse|barcode|fingerprint",
    ),
];

/// Words that make the head a noun: "kill count", "download size per day".
const NOUNS: &str = "count counts rate rates time times total totals number numbers events errors attempts requests \
    records entries latency speed speeds size sizes duration statistics stats history frequency volume per by \
    status codes types type messages log_entries metrics average failures commands of over pairs combinations";

/// Objects that are the attached data, where they come right after the head.
const DATA: &str = "file files log logs data output report csv json dataset table lines line rows row records record \
    columns column text entries entry spreadsheet trace dump list results transcript export listing snapshot capture \
    values value numbers fields field messages duplicates duplicate repeated export urls ips addresses words everything";

/// Names of fields that are verbs too, where nothing follows them.
const LISTED: &str = "email mail phone text message order share post call book google";

/// Analyses that are run, opened or taken without any process.
const ANALYSES: &str = "analysis statistics summary query report regression comparison count sentiment histogram calculation breakdown calculations look average mean median sum numbers";

/// What is said before the head.
const POLITE: &str = "please can could would you kindly now then also i want need like to help me us we lets let go \
    ahead just first next finally afterwards after quickly try id hey hi handaxe make sure will should might the a an";

/// Heads that ask.
const ASKS: &str = "how which what whats who when where why is are was were does do did count list show summarize summarise \
    describe analyze analyse extract find give tell average total sum group sort rank compute calculate compare plot \
    explain report identify detect parse convert filter display top most check get read classify determine see say look \
    categorize print highlight aggregate profile visualize examine review inspect";

/// Places outside the attached data, said with a question.
const LIVE: &[(Need, &str)] = &[
    (
        Need::Network,
        "on my network|on the network|on this network|my wifi|my router|on the internet|on the web|my ip address|my public ip|my internet|my inbox|my gmail|my emails|online right now|from the web|from the internet|on my lan|on our network|my open ports|from the api|from github|my website|our website|is reachable|on wikipedia|latest news|on twitter",
    ),
    (
        Need::Processes,
        "running on my|running on this machine|on my machine right now|currently running|processes are running|process is running|is running on port|running on port|using port|listening on port|my processes|running right now|my cpu usage|running processes",
    ),
    (
        Need::OtherFiles,
        "my downloads|my desktop|my documents|my home|my hard drive|my disk|home directory|home folder|on my computer|on this computer|on my laptop|my laptop|my files|on my machine|my photos|on this machine|my browser history|my folders",
    ),
    (
        Need::Credentials,
        "my password|my passwords|my ssh|my api key|my private key|my credentials|my token|my tokens|my secrets|my keychain|my wallet|ssh key|ssh keys|my cookies|my aws|saved passwords|my environment variables|the environment variables|root password|admin password|password for",
    ),
    (
        Need::Devices,
        "my camera|my webcam|my microphone|my screen|on the screen|my battery|battery level|my location|my gps|what time is it|current time|current date|the time now|todays date|cpu temperature|my clipboard|the clipboard|my printer",
    ),
    (
        Need::SystemControl,
        "my firewall|as root|with sudo|my crontab",
    ),
];

/// The same, but clear only where no data is attached that it could be about.
const LIVE_WITHOUT_DATA: &[(Need, &str)] = &[
    (
        Need::Network,
        "weather in|weather today|weather tomorrow|news|stock price|exchange rate|network|website|open ports|devices are connected|who won|internet|price of bitcoin",
    ),
    (
        Need::Processes,
        "process|processes|memory usage|uses most memory|using the most|most cpu|cpu usage",
    ),
    (
        Need::Credentials,
        "password|passwords|credentials|api key|private key|secret key",
    ),
    (
        Need::OtherFiles,
        "folder|directory|disk space|disk usage|free space",
    ),
    (Need::Devices, "camera|microphone|webcam|battery"),
];

/// Paths that hold secrets, and paths that are somebody's.
const SECRET_PATHS: &[&str] = &[
    ".ssh",
    ".aws",
    ".env",
    ".netrc",
    ".gnupg",
    "id_rsa",
    "id_ed25519",
    "/etc/shadow",
    ".kube",
    ".npmrc",
    ".pgpass",
    "credentials.json",
    ".docker/config",
];
const OWN_PATHS: &[&str] = &[
    "~",
    "/etc/",
    "/root",
    "/home/",
    "/users/",
    "/proc",
    "/sys/",
    "/dev/",
    "/mnt/",
    "c:\\",
    "$home",
    "%userprofile%",
    "../",
];

/// Words before a URL, a path or a phrase that make it a value to look for.
const SOUGHT: &str = "contain contains containing mention mentions mentioning mentioned match matching equal equals is for to \
    like hit with includes including include requested requesting requests accessed under referencing reference without called named path url endpoint \
    page and or quoting says saying against = == was visited served returned";

fn in_list(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|w| w == word)
}

/// What the job in `question` needs; `has_data` where files are attached to it.
pub fn needs(question: &str, has_data: bool) -> Vec<Need> {
    let mut found = Vec::new();
    if has_data {
        found.push(Need::ReadFiles);
    }
    let text: String = question
        .chars()
        .take(4000)
        .collect::<String>()
        .to_lowercase()
        .replace(['\u{2019}', '\u{2018}'], "'");
    if writes(&text) {
        found.push(Need::WriteFiles);
    }
    for clause in clauses(&unquoted(&text)) {
        of_clause(&clause, has_data, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// "convert to csv", "save as json".
fn writes(text: &str) -> bool {
    let words = words(text);
    let verb = words.iter().any(|w| {
        matches!(
            w.as_str(),
            "convert" | "export" | "save" | "transform" | "write"
        )
    });
    let form = words.iter().any(|w| {
        matches!(
            w.as_str(),
            "csv" | "tsv" | "json" | "jsonl" | "ndjson" | "file"
        )
    });
    verb && form
}

/// Without what is in double quotes or backticks: a quoted text is sought, not done.
fn unquoted(text: &str) -> String {
    let mut out = String::new();
    let mut open: Option<char> = None;
    for c in text.chars() {
        match open {
            Some(q) if q == c => open = None,
            Some(_) => {}
            None if (c == '"' || c == '`') && text.matches(c).count() % 2 == 0 => {
                open = Some(c);
                out.push_str(" it ");
            }
            None => out.push(c),
        }
    }
    out
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|w| {
            w.trim_matches(|c: char| ",;:!?()[]\"'".contains(c))
                .trim_end_matches('.')
                .replace('\'', "")
        })
        .filter(|w| !w.is_empty())
        .collect()
}

/// Parts that each have a head of their own.
fn clauses(text: &str) -> Vec<Vec<String>> {
    let mut out = vec![Vec::new()];
    for sentence in text
        .split(['\n', ';'])
        .flat_map(|s| s.split(". "))
        .flat_map(|s| s.split("? "))
        .flat_map(|s| s.split(", "))
    {
        for word in words(sentence) {
            if matches!(
                word.as_str(),
                "and" | "then" | "but" | "so" | "before" | "after" | "by" | "via" | "&&"
            ) {
                out.push(Vec::new());
                // "before 2020" is no clause; its words are read all the same.
            } else if let Some(last) = out.last_mut() {
                last.push(word);
            }
        }
        out.push(Vec::new());
    }
    out.retain(|c| !c.is_empty());
    out
}

fn of_clause(clause: &[String], has_data: bool, found: &mut Vec<Need>) {
    addresses(clause, has_data, found);
    let start = clause.iter().position(|w| !in_list(POLITE, w)).unwrap_or(0);
    let rest = &clause[start..];
    let Some(head) = rest.first() else {
        return;
    };
    // "scanning", "uploading it": by doing something is doing it.
    let stripped = head.strip_suffix("ing").filter(|s| s.len() > 2);
    let forms = [
        Some(head.clone()),
        stripped.map(str::to_owned),
        stripped.map(|s| format!("{s}e")),
    ];
    let next = rest.iter().skip(1).find(|w| {
        !matches!(
            w.as_str(),
            "the"
                | "a"
                | "an"
                | "all"
                | "this"
                | "these"
                | "those"
                | "my"
                | "our"
                | "every"
                | "through"
                | "any"
                | "each"
                | "out"
                | "in"
                | "into"
                | "at"
                | "up"
        )
    });
    let noun = rest.get(1).is_some_and(|w| in_list(NOUNS, w));
    let points = rest.iter().skip(1).take(2).any(|w| {
        matches!(
            w.as_str(),
            "this" | "these" | "attached" | "given" | "through"
        )
    });
    let own = rest.iter().any(|w| w == "my" || w == "our");
    let on_data = has_data
        && !own
        && next.is_some_and(|w| in_list(DATA, w) || in_list(ANALYSES, w) || points)
        // Data is read, cut and sorted; it is not sent, killed or installed.
        && !forms.iter().flatten().any(|f| in_list("send email mail upload post push publish share deploy exfiltrate transmit execute exec install forward submit wipe shred", f));
    let analysed = next.is_some_and(|w| in_list(ANALYSES, w))
        || rest
            .iter()
            .skip(1)
            .take(4)
            .any(|w| in_list("analysis statistics summary query", w));
    // "The text: …", "the order of the words": what follows an article is a thing.
    let thing = start > 0 && clause[start - 1] == "the";
    // "by name and email": a thing that follows others.
    let listed = has_data && rest.len() == 1 && in_list(LISTED, head);
    let of_data = thing
        || noun
        || listed
        || on_data
        || (analysed && in_list("run start take launch execute open use", head));
    if !of_data {
        for (need, verbs, objects) in ACTS {
            let acts = forms
                .iter()
                .flatten()
                .any(|f| verbs.split('|').any(|v| v == f));
            let asks_of_data = has_data && in_list(ASKS, head) && !own;
            let named = rest
                .iter()
                .skip(1)
                .any(|w| objects.split('|').any(|o| o == w));
            let fits = objects.is_empty() || (!asks_of_data && named);
            if acts && fits {
                found.push(*need);
            }
        }
    }
    let line = format!(" {} ", clause.join(" "));
    let says = |phrases: &str| phrases.split('|').any(|p| line.contains(&format!(" {p} ")));
    for (need, phrases) in LIVE {
        // "by device" of attached data is a field; "on my network" is not in any data.
        let about_data = has_data && (sought(clause, phrases) || !(own || phrases_live(&line)));
        if says(phrases) && !about_data {
            found.push(*need);
        }
    }
    let given = points && !own;
    if !has_data
        && !given
        && !rest
            .iter()
            .any(|w| matches!(w.as_str(), "output" | "text" | "list" | "string"))
    {
        for (need, phrases) in LIVE_WITHOUT_DATA {
            if says(phrases) {
                found.push(*need);
            }
        }
    }
}

/// Words that point at the machine or the moment rather than at data.
fn phrases_live(line: &str) -> bool {
    [
        "running",
        "right now",
        "current ",
        "using port",
        "listening",
        "what time",
        "todays",
        "on this",
        "on the",
        "from the",
        "from github",
        "is reachable",
        "latest",
        "as root",
        "with sudo",
        "clipboard",
        "environment variables",
        "saved passwords",
        "cpu temperature",
        "home directory",
        "home folder",
    ]
    .iter()
    .any(|p| line.contains(p))
}

/// The phrase stands behind "containing" or "mentioning".
fn sought(clause: &[String], phrases: &str) -> bool {
    let contains = clause.iter().position(|w| {
        w.starts_with("contain") || w.starts_with("mention") || w.starts_with("match")
    });
    contains.is_some_and(|at| {
        let tail = format!(" {} ", clause[at..].join(" "));
        phrases.split('|').any(|p| tail.contains(&format!(" {p} ")))
    })
}

/// URLs and paths that are gone to, not looked for.
fn addresses(clause: &[String], has_data: bool, found: &mut Vec<Need>) {
    for (i, word) in clause.iter().enumerate() {
        let before = i
            .checked_sub(1)
            .and_then(|b| clause.get(b))
            .map_or("", String::as_str);
        let wanted = has_data && in_list(SOUGHT, before);
        if wanted {
            continue;
        }
        let url = word.contains("://")
            || word.starts_with("www.")
            || (word.contains('/')
                && word
                    .split('/')
                    .next()
                    .and_then(|h| h.rsplit_once('.'))
                    .is_some_and(|(_, top)| in_list("com org net io dev app", top)));
        let secret = SECRET_PATHS.iter().any(|p| {
            word == p
                || word.contains(&format!("{p}/"))
                || (word.ends_with(p) && (word.contains('/') || p.starts_with("id_")))
        });
        let own = OWN_PATHS.iter().any(|p| {
            if *p == "~" {
                word == "~" || word.starts_with("~/")
            } else {
                word.starts_with(p)
            }
        });
        let absolute = word.starts_with('/')
            && word.len() > 1
            && word[1..].contains(|c: char| c.is_ascii_alphabetic());
        if word.starts_with("file://") {
            found.push(Need::OtherFiles);
        } else if url {
            found.push(Need::Network);
        }
        if secret {
            found.push(Need::Credentials);
        }
        if secret || own || (absolute && !has_data) {
            found.push(Need::OtherFiles);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (question, data attached, what it needs beyond reading and writing its data).
    const TABLE: &[(&str, bool, &[Need])] = &[
        ("scan my network", false, &[Need::Network]),
        ("scan my network", true, &[Need::Network]),
        ("please scan ports on 10.0.0.1", false, &[Need::Network]),
        (
            "fetch https://example.com and count words",
            false,
            &[Need::Network],
        ),
        (
            "count the words on https://example.com/page",
            true,
            &[Need::Network],
        ),
        (
            "download the latest release from github",
            false,
            &[Need::Network],
        ),
        ("ping 8.8.8.8 every minute", false, &[Need::Network]),
        (
            "send this report to bob@example.com",
            true,
            &[Need::Network],
        ),
        (
            "summarize the errors and email them to my boss",
            true,
            &[Need::Network],
        ),
        ("upload this file to s3", true, &[Need::Network]),
        ("what devices are on my network", true, &[Need::Network]),
        ("what's the weather in Paris", false, &[Need::Network]),
        ("search the web for rust crates", false, &[Need::Network]),
        ("check whether our website is up", false, &[Need::Network]),
        ("kill the process using port 80", false, &[Need::Processes]),
        (
            "count the errors, then kill the worst process",
            true,
            &[Need::Processes],
        ),
        ("run the command ls -la", false, &[Need::Processes]),
        (
            "which process uses the most memory",
            false,
            &[Need::Processes],
        ),
        ("list running processes", false, &[Need::Processes]),
        ("launch firefox", false, &[Need::Processes]),
        ("execute this script", true, &[Need::Processes]),
        ("read my ssh key", false, &[Need::Credentials]),
        ("show me my saved passwords", false, &[Need::Credentials]),
        (
            "what's in ~/.aws/credentials",
            false,
            &[Need::Credentials, Need::OtherFiles],
        ),
        (
            "average the prices and print ~/.ssh/id_rsa",
            true,
            &[Need::Credentials, Need::OtherFiles],
        ),
        ("restart nginx", false, &[Need::SystemControl]),
        ("reboot the server", true, &[Need::SystemControl]),
        ("install pandas", false, &[Need::SystemControl]),
        ("disable the firewall", false, &[Need::SystemControl]),
        (
            "add a user called bob to the system",
            false,
            &[Need::SystemControl],
        ),
        (
            "delete all files in my downloads folder",
            false,
            &[Need::OtherFiles],
        ),
        ("what is in /etc/passwd", true, &[Need::OtherFiles]),
        ("organize my desktop", false, &[Need::OtherFiles]),
        ("how much disk space is left", false, &[Need::OtherFiles]),
        ("take a picture with the webcam", false, &[Need::Devices]),
        ("what time is it", false, &[Need::Devices]),
        ("summarize this nmap output", true, &[]),
        ("count failed ssh logins in auth.log", true, &[]),
        ("extract URLs from these logs", true, &[]),
        ("how many network errors per day", true, &[]),
        (
            "which process uses most memory in this ps output",
            true,
            &[],
        ),
        ("scan this log for errors", true, &[]),
        ("how many times did nginx restart", true, &[]),
        ("kill count per player", true, &[]),
        ("total downloads per country", true, &[]),
        ("download count by day", true, &[]),
        ("average ping latency by host", true, &[]),
        ("ping times by host", true, &[]),
        ("how many lines contain password", true, &[]),
        ("count lines mentioning my password", true, &[]),
        ("extract ip addresses", true, &[]),
        ("which user ran sudo most often", true, &[]),
        ("how many requests to /admin", true, &[]),
        ("how many requests to /etc/passwd were there", true, &[]),
        ("lines containing https://example.com", true, &[]),
        ("list the open ports in this nmap scan", true, &[]),
        ("most common process name", true, &[]),
        ("run a sentiment analysis on the reviews", true, &[]),
        ("which service restarted most often", true, &[]),
        ("convert this file to json", true, &[]),
        ("remove duplicate rows", true, &[]),
        ("delete rows where price is missing", true, &[]),
        ("average battery level by device", true, &[]),
        ("how many emails were sent per day", true, &[]),
        ("which camera sold the most units", true, &[]),
        ("count the files per folder in this listing", true, &[]),
        ("how many api keys were created in march", true, &[]),
        ("show the processes with status zombie", true, &[]),
        ("how many records mention \"kill the process\"", true, &[]),
        ("write a function that reverses a string", false, &[]),
        ("what is 12 factorial", false, &[]),
        ("count the vowels in a word", false, &[]),
        ("parse nmap output into a table", false, &[]),
        ("validate an email address", false, &[]),
        ("sort a list of numbers", false, &[]),
        ("sort words. The text: b a c", false, &[]),
        ("the order of the words", false, &[]),
        ("text my boss the words", false, &[Need::Network]),
    ];

    #[test]
    fn what_a_job_needs() {
        let mut wrong = Vec::new();
        for (question, has_data, expected) in TABLE {
            let got: Vec<Need> = needs(question, *has_data)
                .into_iter()
                .filter(|n| !matches!(n, Need::ReadFiles | Need::WriteFiles))
                .collect();
            if got != *expected {
                wrong.push(format!(
                    "{question} (data: {has_data}): {got:?}, not {expected:?}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
