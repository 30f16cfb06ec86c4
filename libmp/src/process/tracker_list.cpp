// SPDX-License-Identifier: BSL-1.0
#include "process/tracker_list.hpp"

#include "os/poll.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace mp::detail {
namespace {

using namespace std::chrono_literals;

/// "2 leaked shared_memory objects: a, b"; of many, the first ones.
std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t max_listed = 5;
    std::string text = std::to_string(names.size()) + " leaked shared_memory object" +
                       (names.size() == 1 ? "" : "s");
    for (std::size_t i = 0; i < std::min(names.size(), max_listed); ++i) {
        text += (i == 0 ? ": " : ", ") + names[i];
    }
    return text + (names.size() > max_listed ? ", ..." : "");
}

}  // namespace

void TrackerList::meet(Process process, Maker maker) {
    makers_[process] = std::move(maker);
}

const TrackerList::Maker* TrackerList::maker(Process process) const {
    const auto found = makers_.find(process);
    return found == makers_.end() ? nullptr : &found->second;
}

std::vector<std::pair<TrackerList::Process, int>> TrackerList::watched() const {
    std::vector<std::pair<Process, int>> pidfds;
    pidfds.reserve(makers_.size());
    for (const auto& [process, maker] : makers_) {
        if (maker.pidfd) {
            pidfds.emplace_back(process, maker.pidfd.get());
        }
    }
    return pidfds;
}

// By the rule that SharedMemory has: a name that leads out of the directory could be
// any file of ours.
void TrackerList::track(
    const std::string& name, const os::FileId& id, Process process
) {
    if (os::checked_memory_name(name) != name) {
        throw std::invalid_argument("shared memory '" + name + "': a slash before it");
    }
    forget(id, std::nullopt);
    entries_.push_back({.name = name, .id = id, .process = process});
}

void TrackerList::forget(const os::FileId& id, std::optional<Process> of) {
    std::erase_if(entries_, [&](const Entry& entry) {
        return entry.id == id && (!of || entry.process == *of);
    });
}

// Its parent's pipe tells how long its entries are of use to others.
void TrackerList::leave(Process process) {
    const bool has_left_some =
        std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
            return entry.process == process;
        });
    if (has_left_some) {
        makers_[process].pidfd.reset();
    } else {
        makers_.erase(process);
    }
}

void TrackerList::withdraw(Process process) {
    std::erase_if(entries_, [&](const Entry& entry) {
        return entry.process == process;
    });
    makers_.erase(process);
}

bool TrackerList::remove_now(const os::FileId& id, std::optional<Process> of) {
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](auto& one) {
        return one.id == id && (!of || one.process == *of);
    });
    if (entry == entries_.end()) {
        return false;
    }
    try {
        os::remove_memory(entry->name, entry->id);
    } catch (const std::exception& error) {
        say(std::string("cannot remove ") + error.what());
        return false;
    }
    entries_.erase(entry);
    return true;
}

void TrackerList::recover(Process process) {
    const auto found = makers_.find(process);
    if (found == makers_.end() || !found->second.pidfd) {
        return;
    }
    std::vector<std::string> names;
    for (Entry& entry : entries_) {
        if (entry.process == process) {
            entry.condemned = true;
            names.push_back(entry.name);
        }
    }
    if (!names.empty()) {
        say("process " + std::to_string(found->second.pid) + " ended with " +
            listed(names));
        worse(TrackerStatus::left_behind);
    }
    makers_.erase(found);
}

bool TrackerList::still_runs(Process process) const {
    const Maker* const known = maker(process);
    return known != nullptr && known->pidfd;  // or its end is about to be seen
}

bool TrackerList::is_awaited(Process process) const {
    const Maker* const known = maker(process);
    return still_runs(process) ||
           (known != nullptr && known->parent_watch &&
            !os::wait_readable(known->parent_watch.get(), Deadline(0s)));
}

void TrackerList::condemn_what_nobody_awaits() {
    std::vector<std::string> names;
    for (Entry& entry : entries_) {
        if (!entry.condemned && !is_awaited(entry.process)) {
            entry.condemned = true;
            names.push_back(entry.name);
        }
    }
    if (!names.empty()) {
        say("left at the end: " + listed(names));
        worse(TrackerStatus::left_behind);
    }
}

void TrackerList::sweep(bool nobody_can_tell) {
    std::erase_if(entries_, [&](Entry& entry) {
        if (entry.condemned) {
            return remove(entry);
        }
        return nobody_can_tell && !still_runs(entry.process) &&
               !os::has_name(entry.name, entry.id);
    });
}

bool TrackerList::has_condemned() const noexcept {
    return std::any_of(entries_.begin(), entries_.end(), [](const Entry& one) {
        return one.condemned;
    });
}

// False when it is to be tried again.
bool TrackerList::remove(Entry& entry) {
    try {
        switch (os::sweep_memory(entry.name, entry.id)) {
        case os::Sweep::removed:
            return true;
        case os::Sweep::gone:
            if (!entry.was_in_use) {
                say(entry.name + ": " + std::generic_category().message(ENOENT));
            }
            return true;
        case os::Sweep::in_use:
            entry.was_in_use = true;
            return false;
        }
    } catch (const std::exception& error) {
        say(std::string("cannot remove ") + error.what());
        worse(TrackerStatus::not_removed);
    }
    return true;
}

void TrackerList::say(std::string_view text) {
    const std::string line = "resource_tracker: " + std::string(text) + "\n";
    static_cast<void>(::write(2, line.data(), line.size()));
}

void TrackerList::worse(TrackerStatus status) noexcept {
    status_ = std::max(status_, status);
}

}  // namespace mp::detail
