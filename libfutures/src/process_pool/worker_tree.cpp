// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_tree.hpp"

#include "os/check.hpp"
#include "os/pidfd.hpp"
#include "process/own_program.hpp"
#include "process_pool/stopped_process.hpp"
#include "process_pool/worker_table.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace futures::detail {

namespace os = mp::os;
namespace fs = std::filesystem;

namespace {

struct Member {
    pid_t pid;
    mp::UniqueFd pidfd;
};

std::string of_process(pid_t pid, const char* file) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/" + file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

/// 0 when it is gone.
pid_t parent_of(pid_t pid) {
    const std::string stat = of_process(pid, "stat");
    // "pid (name) state parent ...": the name may hold anything.
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) {
        return 0;
    }
    std::istringstream rest(stat.substr(name_end + 1));
    char state = 0;
    pid_t parent = 0;
    rest >> state >> parent;
    return parent;
}

bool is_number(const std::string& name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return c >= '0' && c <= '9';
    });
}

/// By looking at all processes, where the kernel lists no children.
std::vector<pid_t> children_by_search(pid_t parent) {
    std::vector<pid_t> children;
    std::error_code ignored;
    for (fs::directory_iterator at("/proc", ignored), end; at != end;
         at.increment(ignored)) {
        const std::string name = at->path().filename().string();
        if (is_number(name)) {
            const auto pid = static_cast<pid_t>(std::stol(name));
            if (parent_of(pid) == parent) {
                children.push_back(pid);
            }
        }
    }
    return children;
}

/// Of all its threads. Exact while it stands still.
std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    bool listed = false;
    std::error_code ignored;
    const fs::path tasks = "/proc/" + std::to_string(parent) + "/task";
    for (fs::directory_iterator at(tasks, ignored), end; at != end;
         at.increment(ignored)) {
        std::ifstream in(at->path() / "children");
        listed = listed || in.is_open();
        for (pid_t pid = 0; in >> pid;) {
            children.push_back(pid);
        }
    }
    return listed ? children : children_by_search(parent);
}

/// It deletes the names of shared memory that dead processes leave.
bool is_resource_tracker(pid_t pid) {
    const std::string arguments = of_process(pid, "cmdline");
    return arguments.find('\0' + std::string(mp::detail::tracker_argument) + '\0') !=
           std::string::npos;
}

class Tree {
public:
    explicit Tree(pid_t root) : root_(root) {}

    /// To a fixpoint: an orphan turns up among the children of the worker that adopts
    /// it. Requires: the root stands still.
    void find() {
        for (bool more = true; more;) {
            more = look_at(root_);
            // The list grows meanwhile.
            for (std::size_t i = 0; i < members_.size(); ++i) {
                more = look_at(members_[i].pid) || more;
            }
        }
    }

    void send_all(int signal) const noexcept {
        for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
            try {
                os::pidfd_send_signal(member->pidfd.get(), signal);
            } catch (const std::exception& error) {
                mp::detail::log_warning(
                    "a process that a task has started (pid " +
                    std::to_string(member->pid) + ") cannot be ended: " + error.what()
                );
            }
        }
    }

private:
    /// True if there was a new one.
    bool look_at(pid_t parent) {
        bool found = false;
        for (const pid_t pid : children_of(parent)) {
            found = (!is_member(pid) && add(pid, parent)) || found;
        }
        return found;
    }

    bool is_member(pid_t pid) const {
        return std::find(spared_.begin(), spared_.end(), pid) != spared_.end() ||
               std::any_of(members_.begin(), members_.end(), [pid](const Member& one) {
                   return one.pid == pid;
               });
    }

    bool add(pid_t pid, pid_t parent) {
        try {
            Member member{pid, os::pidfd_open(pid)};
            // Its number may have been another's when we read it.
            if (parent_of(pid) != parent) {
                return false;
            }
            if (is_resource_tracker(pid)) {
                spared_.push_back(pid);
                return true;
            }
            if (stop_process(member.pidfd.get())) {
                wait_until_stopped(pid, member.pidfd.get());
            }
            members_.push_back(std::move(member));
            return true;
        } catch (const std::system_error&) {
            return false;  // it has ended
        }
    }

    pid_t root_;
    std::vector<Member> members_;
    std::vector<pid_t> spared_;
};

}  // namespace

void keep_orphans() noexcept {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void end_worker_tree(const mp::Process& worker, int signal) {
    Tree tree(worker.pid());
    try {
        if (!os::pidfd_ended(worker.sentinel()) && stop_process(worker.sentinel())) {
            wait_until_stopped(worker.pid(), worker.sentinel());
            tree.find();
        }
    } catch (const std::exception& error) {
        mp::detail::log_warning(
            std::string("not all processes that a task has started can be found: ") +
            error.what()
        );
    }
    tree.send_all(signal);
    if (signal != SIGKILL) {
        tree.send_all(SIGCONT);  // one that is stopped cannot end
    }
    if (signal == SIGKILL) {
        worker.handle().kill();
    } else {
        WorkerTable::send(worker, signal);
    }
}

}  // namespace futures::detail
