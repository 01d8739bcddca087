//! Tables and columns that the program treats by name. All others are data in [`TABLES`](super::TABLES).

/// The id of an entity. Links have one as well, which is not replicated.
pub const ID: &str = "id";

/// Users. If the table is empty, the first visitor sets up an account.
pub const USER: &str = "user";
/// The log-in name of a user.
pub const USERNAME: &str = "username";
/// The owner of a row.
pub const USER_ID: &str = "user_id";

/// Monitors, and groups of monitors.
pub const MONITOR: &str = "monitor";
/// A monitor that a row belongs to.
pub const MONITOR_ID: &str = "monitor_id";
/// What a monitor checks, such as `http`, or [`GROUP_TYPE`].
pub const TYPE: &str = "type";
/// The type of a monitor that is a group of others.
pub const GROUP_TYPE: &str = "group";
/// Whether a monitor runs, a user may log in, and so on.
pub const ACTIVE: &str = "active";
/// The group that a monitor is in.
pub const PARENT: &str = "parent";
/// When a row was created.
pub const CREATED: &str = "created_date";

/// The ways of sending alerts.
pub const NOTIFICATION: &str = "notification";
/// Which monitor uses which notification.
pub const MONITOR_NOTIFICATION: &str = "monitor_notification";

/// Tags, by which monitors can be excluded.
pub const TAG: &str = "tag";
/// The tag of a link.
pub const TAG_ID: &str = "tag_id";
/// Which monitor has which tag.
pub const MONITOR_TAG: &str = "monitor_tag";

/// Status pages.
pub const STATUS_PAGE: &str = "status_page";
/// The address of a status page.
pub const SLUG: &str = "slug";
/// The status page that a row belongs to.
pub const STATUS_PAGE_ID: &str = "status_page_id";
/// The domains of status pages.
pub const DOMAINS: &str = "status_page_cname";

/// Which monitor is in which group of a status page.
pub const MONITOR_GROUP: &str = "monitor_group";

/// Maintenances.
pub const MAINTENANCE: &str = "maintenance";
/// How a maintenance repeats.
pub const STRATEGY: &str = "strategy";
/// The pattern of the times at which a maintenance begins.
pub const CRON: &str = "cron";
/// The time zone of a maintenance.
pub const TIMEZONE: &str = "timezone";

/// The name of a row on the pages of Uptime Kuma.
pub const NAME: &str = "name";
/// The same in tables that call it so.
pub const TITLE: &str = "title";
