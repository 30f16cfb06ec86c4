// SPDX-License-Identifier: BSL-1.0
#include "os/control_group.hpp"

#include "os/file_text.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace mp::os {

namespace {

constexpr auto no_limit = std::numeric_limits<std::size_t>::max();

/// The divided hierarchies write a number for "no limit".
constexpr std::size_t no_machine_has = std::size_t{1} << 60U;

/// What the two kinds of hierarchies call the same things.
struct Names {
    const char* limit;
    const char* used;
    std::string_view cache;  ///< in memory.stat
};

constexpr Names unified{"/memory.max", "/memory.current", "inactive_file"};
constexpr Names divided{
    "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};

std::size_t number_in(const std::string& path, std::size_t otherwise) {
    return number_in_file<std::size_t>(path).value_or(otherwise);  // "max" is none
}

/// Of a file with a name and a number in each line.
std::optional<std::uint64_t> value_in(const std::string& path, std::string_view name) {
    const std::string text = text_of_file(path).value_or("");
    Words words(text);
    for (;;) {
        const std::string_view key = words.next();
        const auto value = words.next_number<std::uint64_t>();
        if (!value || key == name) {
            return value;
        }
    }
}

std::size_t reclaimable(const std::string& group, std::string_view name) {
    return value_in(group + "/memory.stat", name).value_or(0);
}

std::size_t left_in_group(const std::string& group, const Names& names) {
    const std::size_t limit = number_in(group + names.limit, no_limit);
    if (limit > no_machine_has) {
        return no_limit;
    }
    std::size_t used = number_in(group + names.used, 0);
    used -= std::min(used, reclaimable(group, names.cache));
    return limit - std::min(limit, used);
}

/// From the group to the root. In a container the path may be that of the machine, of
/// which only the last part is here: what is not there is no limit.
std::size_t
left_on_the_way_up(const std::string& root, std::string group, const Names& names) {
    std::size_t left = no_limit;
    while (!group.empty() && group != "/") {
        left = std::min(left, left_in_group(root + group, names));
        group.erase(group.rfind('/'));
    }
    return std::min(left, left_in_group(root, names));
}

bool is_among(std::string_view controllers, std::string_view wanted) {
    while (!controllers.empty()) {
        const std::size_t comma = controllers.find(',');
        if (controllers.substr(0, comma) == wanted) {
            return true;
        }
        controllers.remove_prefix(
            comma == std::string_view::npos ? controllers.size() : comma + 1
        );
    }
    return false;
}

/// Calls `visit(root, group, is_divided)` for the hierarchies that may have the
/// controller: the divided one of it, and the unified one.
template <class Visit>
void for_each_group(
    const ControlGroupFiles& files, const std::string& controller, Visit visit
) {
    const std::string text = text_of_file(files.membership).value_or("");
    Words lines(text, "\n");
    for (auto line = lines.next(); !line.empty(); line = lines.next()) {
        // A hierarchy: "number:its controllers:/path".
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos ||
            line.compare(second + 1, 1, "/") != 0) {
            continue;
        }
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        const std::string group(line.substr(second + 1));
        if (is_among(controllers, controller)) {
            visit(files.folder + "/" + controller, group, true);
        } else if (controllers.empty()) {
            visit(files.folder, group, false);
        }
    }
}

/// In processors; 0: no limit.
double quota_of(const std::string& group, bool is_divided) {
    const std::string text =
        text_of_file(group + (is_divided ? "/cpu.cfs_quota_us" : "/cpu.max"))
            .value_or("");
    Words words(text);
    // "max" is no number, and -1 no limit.
    const std::int64_t quota = words.next_number<std::int64_t>().value_or(0);
    const auto period = is_divided
                            ? number_in_file<std::int64_t>(group + "/cpu.cfs_period_us")
                            : words.next_number<std::int64_t>();
    if (quota <= 0 || period.value_or(0) <= 0) {
        return 0;
    }
    return static_cast<double>(quota) / static_cast<double>(*period);
}

}  // namespace

int cpus_in_control_groups(int all, const ControlGroupFiles& files) {
    double least = all;
    for_each_group(
        files,
        "cpu",
        [&](const std::string& root, std::string group, bool is_divided) {
            const auto look = [&](const std::string& folder) {
                if (const double quota = quota_of(folder, is_divided); quota > 0) {
                    least = std::min(least, std::ceil(quota));
                }
            };
            while (!group.empty() && group != "/") {
                look(root + group);
                group.erase(group.rfind('/'));
            }
            look(root);
        }
    );
    return std::max(1, static_cast<int>(least));
}

std::size_t left_in_control_groups(const ControlGroupFiles& files) {
    std::size_t left = no_limit;
    for_each_group(
        files,
        "memory",
        [&](const std::string& root, const std::string& group, bool is_divided) {
            const Names& names = is_divided ? divided : unified;
            left = std::min(left, left_on_the_way_up(root, group, names));
        }
    );
    return left;
}

std::optional<std::uint64_t> oom_kills(const ControlGroupFiles& files) {
    std::optional<std::uint64_t> kills;
    for_each_group(
        files,
        "memory",
        [&](const std::string& root, const std::string& group, bool is_divided) {
            const auto here = value_in(
                root + group + (is_divided ? "/memory.oom_control" : "/memory.events"),
                "oom_kill"
            );
            kills = here ? here : kills;
        }
    );
    return kills;
}

}  // namespace mp::os
