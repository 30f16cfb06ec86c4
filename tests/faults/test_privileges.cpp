// SPDX-License-Identifier: BSL-1.0
// A program that has rights which its caller has not (set-user-id) is nobody's child,
// and no child believes a socket that is not its parent's.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"
#include "mp/process.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/shared_memory.hpp"
#include "mp/spawn.hpp"

#include "os/credentials.hpp"
#include "os/fd_passing.hpp"
#include "os/pipe.hpp"
#include "os/socket.hpp"
#include "process/child_link.hpp"
#include "process/forkserver_protocol.hpp"
#include "process/own_program.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/read_all.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <grp.h>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr uid_t caller = 61'234;
constexpr uid_t owner = 61'235;

bool become(uid_t user) {
    return ::setgroups(0, nullptr) == 0 && ::setresgid(user, user, user) == 0 &&
           ::setresuid(user, user, user) == 0;
}

/// This program, as another user's that everybody may run with that user's rights.
class SetUserId {
public:
    SetUserId() : path_(folder_.path() / "program") {
        std::filesystem::copy_file("/proc/self/exe", path_);
        struct statvfs system {};
        works_ = ::geteuid() == 0 && ::statvfs(path_.c_str(), &system) == 0 &&
                 (system.f_flag & ST_NOSUID) == 0 &&
                 ::chmod(folder_.path().c_str(), 0755) == 0 &&
                 ::chown(path_.c_str(), owner, owner) == 0 &&
                 ::chmod(path_.c_str(), 04755) == 0;
    }

    /// Says so where it does not.
    bool works() const {
        if (!works_) {
            WARN("not checked: only root can make set-user-id programs, and only where "
                 "the file system honours them");
        }
        return works_;
    }

    const std::filesystem::path& path() const { return path_; }

private:
    test::TempDir folder_;
    std::filesystem::path path_;
    bool works_ = false;
};

struct Outcome {
    int status = 0;
    std::string text;  ///< of standard output and error
};

/// What becomes of a child that calls `body`, and what it says.
Outcome outcome_of(const std::function<int()>& body) {
    auto [reader, writer] = mp::os::make_pipe();
    const pid_t child = test::fork_child([&, &reader = reader, &writer = writer] {
        reader.reset();
        ::dup2(writer.get(), 1);
        ::dup2(writer.get(), 2);
        writer.reset();
        return body();
    });
    writer.reset();
    Outcome outcome;
    outcome.text = test::read_all(reader.get());
    outcome.status = test::exit_status(child);
    return outcome;
}

/// Becomes that program with these arguments, the socket among what it inherits.
int execute(
    const std::filesystem::path& program,
    std::vector<std::string> arguments,
    int socket,
    std::vector<std::string> environment = {}
) {
    std::string name = program.string();
    std::vector<char*> argv{name.data()};
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    std::vector<char*> variables;
    for (std::string& variable : environment) {
        variables.push_back(variable.data());
    }
    variables.push_back(nullptr);
    ::fcntl(socket, F_SETFD, 0);
    ::execve(program.c_str(), argv.data(), variables.data());
    return 98;
}

/// What the attacker wants to run with the rights of another.
void leave_with_user() {
    throw mp::SystemExit(::geteuid() == owner ? 55 : 56);
}

/// The stream sockets of this process: of a fork server (which has a name at the other
/// end), or of the child that it was asked for ahead.
struct Sockets {
    int server = -1;
    int spare = -1;
};

Sockets inherited_sockets() {
    Sockets found;
    for (int fd = 3; fd < 1024; ++fd) {
        int kind = 0;
        socklen_t size = sizeof kind;
        sockaddr_un name{};
        socklen_t length = sizeof name;
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) == 0 &&
            kind == SOCK_STREAM &&
            ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0 &&
            name.sun_family == AF_UNIX) {
            (length > sizeof name.sun_family ? found.server : found.spare) = fd;
        }
    }
    return found;
}

/// The child that was asked for ahead, if the reply has not been read yet.
mp::UniqueFd spare_on_its_way(int server) {
    for (;;) {
        mp::detail::ForkReply reply;
        auto got = mp::os::receive_with_fds(
            server, std::as_writable_bytes(std::span(&reply, 1)), 2, mp::Deadline(30s)
        );
        if (got.fds.size() == 2) {
            return std::move(got.fds[1]);
        }
        if (got.bytes == 0) {
            return {};
        }
    }
}

/// What it answers, after it has told how others ended.
mp::detail::ForkReplyKind answer_to_request(int server) {
    const mp::detail::ForkRequest request{.serial = 1000};
    mp::os::send_all(server, std::as_bytes(std::span(&request, 1)), mp::Deadline(30s));
    mp::detail::ForkReply reply;
    do {
        mp::os::receive_exactly(
            server, std::as_writable_bytes(std::span(&reply, 1)), mp::Deadline(30s)
        );
    } while (reply.kind == mp::detail::ForkReplyKind::ended);
    return reply.kind;
}

void do_nothing() {}

const char* each_kind() {
    return GENERATE(
        mp::detail::child_argument,
        mp::detail::server_argument,
        mp::detail::tracker_argument
    );
}

}  // namespace

TEST_CASE(
    "Privileges: a set-user-id program runs no code of its caller's choice",
    "[faults][privileges]"
) {
    const SetUserId program;
    if (!program.works()) {
        return;
    }
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    const Outcome outcome = outcome_of([&] {
        if (!become(caller)) {
            return 97;
        }
        mp::stop_helpers();
        mp::set_executable(program.path());
        mp::Process child({.start_method = method}, leave_with_user);
        int status = 1;
        try {
            child.start();
            child.join();
            status = child.exitcode().value_or(2);
        } catch (const mp::SpawnError&) {
            status = 0;
        }
        mp::stop_helpers();
        return status;
    });
    CAPTURE(outcome.text);
    CHECK(outcome.status == 0);
    CHECK_THAT(outcome.text, test::ContainsSubstring("set-user-id"));
}

TEST_CASE(
    "Privileges: a set-user-id program is no helper of its caller's, either",
    "[faults][privileges]"
) {
    const SetUserId program;
    if (!program.works()) {
        return;
    }
    const char* const kind = each_kind();
    const bool open = GENERATE(true, false);
    const Outcome outcome = outcome_of([&] {
        auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::seqpacket);
        const pid_t child = test::fork_child([&, &ours = ours, &theirs = theirs] {
            ours.reset();
            return become(caller)
                       ? execute(
                             program.path(),
                             {kind, open ? std::to_string(theirs.get()) : "999"},
                             theirs.get()
                         )
                       : 97;
        });
        theirs.reset();
        std::array<std::byte, 64> said{};
        const bool silent =
            mp::os::receive_some(ours.get(), said, mp::Deadline(30s)) == 0;
        const int status = test::exit_status(child);
        return silent ? status : 96;
    });
    CAPTURE(kind, outcome.text);
    CHECK(outcome.status == 1);
    CHECK_THAT(outcome.text, test::ContainsSubstring("set-user-id"));
}

// LeakSanitizer ends a program whose rights its caller has not.
TEST_CASE(
    "Privileges: a set-user-id program does not believe the marks of a child",
    "[faults][privileges][no-asan]"
) {
    const SetUserId program;
    if (!program.works()) {
        return;
    }
    // Its own main runs, as without the mark.
    const Outcome outcome = outcome_of([&] {
        const std::string mark = "LIBMP_CHILD=" + std::to_string(::getpid());
        return test::run_in_fork([&] {
            return become(caller)
                       ? execute(program.path(), {"[no such tag]"}, 0, {mark})
                       : 97;
        });
    });
    CAPTURE(outcome.text);
    CHECK(outcome.text.find("was started as a child") == std::string::npos);
    CHECK(outcome.status != 97);
    CHECK(outcome.status != 1);
}

TEST_CASE(
    "Privileges: a set-user-id program says that it starts no copies of itself",
    "[faults][privileges]"
) {
    const SetUserId program;
    if (!program.works()) {
        return;
    }
    const Outcome outcome = outcome_of([&] {
        return become(caller)
                   ? execute(
                         program.path(), {"Privileges: what a privileged run says"}, 0
                     )
                   : 97;
    });
    CAPTURE(outcome.text);
    CHECK_THAT(outcome.text, test::ContainsSubstring("fork is the start method"));
}

// Hidden: run by the case above, where exec has given this program more rights.
TEST_CASE("Privileges: what a privileged run says", "[.][privileges]") {
    REQUIRE(mp::os::was_given_rights());
    try {
        mp::Process child({.start_method = mp::StartMethod::spawn}, leave_with_user);
        child.start();
        FAIL("it started");
    } catch (const mp::SpawnError& error) {
        std::fputs(error.what(), stderr);
    }
    CHECK_THROWS_AS(mp::SharedMemory({.create = true, .size = 64}), mp::SpawnError);
    mp::SharedMemory untracked({.create = true, .size = 64, .track = false});
    untracked.unlink();
    mp::Process forked({.start_method = mp::StartMethod::fork}, leave_with_user);
    forked.start();
    forked.join();
    CHECK(forked.exitcode() == 55);
}

TEST_CASE(
    "Privileges: a program whose rights exec would not give again starts copies",
    "[faults][privileges]"
) {
    const SetUserId program;
    if (!program.works()) {
        return;
    }
    const Outcome outcome = outcome_of([&] {
        return become(caller)
                   ? execute(
                         program.path(),
                         {"Privileges: what a run with rights of its domain does"},
                         0
                     )
                   : 97;
    });
    CAPTURE(outcome.text);
    CHECK(outcome.status == 0);
}

// Hidden: run by the case above. As after a change of the security domain, exec has
// marked this process, and its file has no rights to give that it has not.
TEST_CASE("Privileges: what a run with rights of its domain does", "[.][privileges]") {
    REQUIRE(::setresuid(owner, owner, owner) == 0);
    if (GENERATE(false, true)) {
        REQUIRE(::chmod("/proc/self/exe", 0755) == 0);
    }
    REQUIRE(mp::os::was_given_rights());
    mp::Process child({.start_method = mp::StartMethod::spawn}, leave_with_user);
    child.start();
    child.join();
    CHECK(child.exitcode() == 55);
    mp::SharedMemory memory({.create = true, .size = 64});
    memory.unlink();
    mp::stop_helpers();
}

TEST_CASE(
    "Privileges: a child believes only a socket of its parent", "[faults][privileges]"
) {
    const char* const kind = each_kind();
    // Made by the grandparent: whoever has the other end, it is not the parent.
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::seqpacket);
    const Outcome outcome = outcome_of([&, &theirs = theirs] {
        return test::run_in_fork([&] {
            return execute(
                "/proc/self/exe", {kind, std::to_string(theirs.get())}, theirs.get()
            );
        });
    });
    theirs.reset();
    CAPTURE(kind, outcome.text);
    CHECK(outcome.status == 1);
    CHECK_THAT(outcome.text, test::ContainsSubstring("not its parent's"));
    std::array<std::byte, 64> said{};
    CHECK(mp::os::receive_some(ours.get(), said, mp::Deadline(0s)) == 0);
}

TEST_CASE("Privileges: what is no socket is believed by no child", "[privileges]") {
    const char* const kind = each_kind();
    auto [reader, writer] = mp::os::make_pipe();
    const Outcome outcome = outcome_of([&, &reader = reader] {
        return execute(
            "/proc/self/exe", {kind, std::to_string(reader.get())}, reader.get()
        );
    });
    CHECK(outcome.status == 1);
    CHECK_THAT(outcome.text, test::ContainsSubstring("without a socket"));
}

TEST_CASE(
    "Privileges: a parent with several users starts children that have one",
    "[faults][privileges]"
) {
    if (::geteuid() != 0) {
        WARN("not checked: only root can act as another user for a time");
        return;
    }
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    const int status = test::run_in_fork_for(60s, [&] {
        mp::stop_helpers();
        if (::setegid(owner) != 0 || ::seteuid(owner) != 0) {
            return 97;
        }
        mp::Process child(
            {.start_method = method},
            +[] {
                // No way back to root, and the user that the parent acts as.
                const bool back = ::seteuid(0) == 0 || ::setuid(0) == 0;
                throw mp::SystemExit(back || mp::os::has_several_users() ? 54 : 0);
            }
        );
        child.start();
        child.join();
        const int code = child.exitcode().value_or(2);
        mp::SharedMemory memory({.create = true, .size = 64});
        memory.unlink();
        mp::stop_helpers();
        return code;
    });
    CHECK(status == 0);
}

TEST_CASE(
    "Privileges: a fork server of root does nothing for whoever its client became",
    "[faults][privileges]"
) {
    if (::geteuid() != 0) {
        WARN("not checked: only root can become another user");
        return;
    }
    const Outcome outcome = outcome_of([&] {
        mp::stop_helpers();
        mp::Process child({.start_method = mp::StartMethod::forkserver}, do_nothing);
        child.start();
        child.join();
        // What the process has now, and an attacker in it: root's server, and a child
        // of root that waits to be told what to run.
        if (!become(caller)) {
            return 97;
        }
        auto [server, spare] = inherited_sockets();
        if (server < 0) {
            return 96;
        }
        const mp::UniqueFd late = spare < 0 ? spare_on_its_way(server) : mp::UniqueFd();
        spare = late ? late.get() : spare;
        try {
            mp::detail::send_start(spare, {}, {}, {}, mp::Deadline(30s));
            mp::detail::receive_answer(spare, mp::Deadline(30s));
            return 1;
        } catch (const mp::BinaryMismatch& refusal) {
            std::fputs(refusal.what(), stderr);
        }
        return answer_to_request(server) == mp::detail::ForkReplyKind::refused ? 0 : 2;
    });
    CAPTURE(outcome.text);
    CHECK(outcome.status == 0);
    CHECK_THAT(outcome.text, test::ContainsSubstring("runs nothing for user"));
}

TEST_CASE("credentials: who is one of us", "[privileges]") {
    CHECK(mp::os::is_own_user_or_root(::geteuid()));
    CHECK(mp::os::is_own_user_or_root(0));
    CHECK_FALSE(mp::os::is_own_user_or_root(caller));
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
    CHECK(mp::os::peer_of(ours.get()).pid == ::getpid());
    CHECK(mp::os::peer_of(theirs.get()).user == ::geteuid());
    CHECK(mp::os::is_own_user_or_root(mp::os::peer_of(ours.get())));
}
