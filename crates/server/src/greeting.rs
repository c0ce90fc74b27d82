//! What the program says when it is up: where to go next, in a few lines.

use crate::config::Config;

/// Prints the address, the way to a first user, and the place of the data, to standard output.
#[expect(clippy::print_stdout, reason = "this is the program's own greeting, not a log line")]
pub(crate) fn print(config: &Config, set_up: Option<&str>) {
    println!("{}", text(config, set_up));
}

fn text(config: &Config, set_up: Option<&str>) -> String {
    let mut text = format!("Myelin {} serves {}\n", env!("CARGO_PKG_VERSION"), config.server_name);
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<11} {value}\n"));
    line("address", &addresses(config));
    if config.public_url.is_some() || !config.is_local() {
        line("public URL", &config.public_url());
    }
    if config.store == "memory" {
        line("data", "in memory only: everything is lost when the server stops");
    } else {
        line("data", &config.data_dir.display().to_string());
    }
    match set_up {
        // Good once, for a day.
        Some(link) => line("first user", link),
        None if config.store == "memory" => {}
        None if config.oauth.enabled => line("new users", &format!("myelin invite{}", data_option(config))),
        None => line("first user", &format!("myelin user add NAME --admin{}", data_option(config))),
    }
    text.trim_end().to_owned()
}

fn addresses(config: &Config) -> String {
    let plain = config.listen.iter().map(|address| format!("http://{address}"));
    let tls = config.tls.listen.iter().map(|address| format!("https://{address}"));
    plain.chain(tls).collect::<Vec<_>>().join("  ")
}

/// How to tell another command which server is meant, where it is not the default one.
fn data_option(config: &Config) -> String {
    let folder = config.data_dir.display().to_string();
    if folder == Config::default().data_dir.display().to_string() {
        String::new()
    } else {
        format!(" --data-dir {folder}")
    }
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::config::Config;

    #[test]
    fn the_greeting_says_where_to_go_next_in_few_lines() {
        let link = "http://127.0.0.1:8008/oauth2/sign-up?invitation=x";
        let first = text(&Config::default(), Some(link));
        assert!(first.contains(link) && first.lines().count() <= 6, "{first}");
        let text = text(&Config::default(), None);
        assert!(text.contains("http://127.0.0.1:8008"), "{text}");
        assert!(text.contains("myelin invite"), "{text}");
        assert!(text.contains("myelin-data"), "{text}");
        assert!(text.lines().count() <= 6);
    }
}
