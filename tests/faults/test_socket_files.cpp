// SPDX-License-Identifier: BSL-1.0
// Who may take the path of a dead server: killed at each step, with something in the
// way of the lock, and with other users at work. And who a server is, for a client.
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "os/credentials.hpp"
#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/failpoints.hpp"
#include "support/fork_child.hpp"
#include "support/temp_dir.hpp"
#include "support/text_of.hpp"
#include "wire/socket_file.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using test::beside;
using test::error_of;
using test::is_there;
using test::text_of;

namespace {

constexpr uid_t nobody = 65534;

bool leave_dead_socket(const std::string& path) {
    return test::run_in_fork([&] {
               const Listener dead({.address = path});
               ::_exit(0);
               return 1;
           }) == 0 &&
           is_there(path);
}

std::string lock_of(const std::filesystem::path& path) {
    return path.parent_path() / ("." + path.filename().string() + ".mp-lock");
}

UniqueFd make_file(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

bool serves(const std::string& path) {
    Listener listener({.address = path});
    auto client = beside([&] { return Client({.address = path}); });
    listener.accept(30s);
    client.get();
    return !is_there(lock_of(path));
}

bool is_root() {
    if (::geteuid() != 0) {
        WARN("not tested: only root can be somebody else");
        return false;
    }
    return true;
}

// What this process and its files become.
int as_nobody(const std::filesystem::path& directory) {
    return ::chown(directory.c_str(), nobody, nobody) == 0 &&
                   ::setresuid(nobody, nobody, nobody) == 0
               ? 0
               : 1;
}

}  // namespace

TEST_CASE(
    "P16: Listener: killed while it replaces a dead server's file", "[listener]"
) {
    const char* const point = GENERATE("socket file: locked", "socket file: removed");
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    REQUIRE(leave_dead_socket(path));
    CHECK(test::run_in_fork([&] {
              test::arm({point, 1});
              const Listener listener({.address = path});
              return 0;
          }) == -SIGKILL);
    CHECK(is_there(lock_of(path)));
    if (point == std::string_view("socket file: removed")) {
        CHECK_FALSE(is_there(path));
        REQUIRE(leave_dead_socket(path));
    }
    CHECK(serves(path));
    CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("P22: Listener: a name in no file blocks no path", "[listener]") {
    // Any user can bind an abstract name, whatever stands in it.
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    REQUIRE(leave_dead_socket(path));
    struct stat place {};
    REQUIRE(::stat((directory.path().string() + "/").c_str(), &place) == 0);
    const Listener squatter(
        {.address = connection::abstract(
             "libmp-listen-" + std::to_string(place.st_dev) + "-" +
             std::to_string(place.st_ino)
         )}
    );
    CHECK(serves(path));
}

TEST_CASE("P22: Listener: a lock that is held, and one that is none", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    REQUIRE(leave_dead_socket(path));
    const std::string lock = lock_of(path);
    SECTION("another process of this user replaces the file just now") {
        const UniqueFd held = make_file(lock);
        REQUIRE(::flock(held.get(), LOCK_EX) == 0);
        CHECK(error_of([&] { Listener({.address = path}); }) == EADDRINUSE);
        CHECK(is_there(lock));
        REQUIRE(::flock(held.get(), LOCK_UN) == 0);
        CHECK(serves(path));
    }
    SECTION("a link, a fifo, or a file that has another name") {
        const std::string other = directory.path() / "other";
        make_file(other);
        const int kind = GENERATE(0, 1, 2);
        if (kind == 0) {
            std::filesystem::create_symlink(other, lock);
        } else if (kind == 1) {
            REQUIRE(::mkfifo(lock.c_str(), 0600) == 0);
        } else {
            std::filesystem::create_hard_link(other, lock);
        }
        CHECK(error_of([&] { Listener({.address = path}); }) == EADDRINUSE);
        CHECK(is_there(lock));
        CHECK(is_there(other));
    }
    SECTION("a path that is free needs no lock") {
        const UniqueFd held = make_file(lock);
        REQUIRE(::flock(held.get(), LOCK_EX) == 0);
        std::filesystem::remove(path);
        CHECK_NOTHROW(Listener({.address = path}));
    }
}

TEST_CASE(
    "P22: Listener: a file system that gives files to another user", "[listener]"
) {
    if (!is_root()) {
        return;
    }
    const test::TempDir directory;
    REQUIRE(::chown(directory.path().c_str(), nobody, nobody) == 0);
    const std::string path = directory.path() / "socket";
    CHECK(test::run_in_fork([&] {
              ::setfsuid(nobody);
              return leave_dead_socket(path) && serves(path) ? 0 : 1;
          }) == 0);
}

TEST_CASE(
    "P22: Listener: the working directory changes while a file is replaced",
    "[listener]"
) {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    REQUIRE(leave_dead_socket(path));
    CHECK(test::run_in_fork([&] {
              if (::chdir(directory.path().c_str()) != 0) {
                  return 1;
              }
              int calls = 0;
              const auto open = [&calls] {
                  ++calls;
                  return calls == 1
                             ? std::error_code(EADDRINUSE, std::system_category())
                             : std::error_code(
                                   ::chdir("/") == 0 ? 0 : errno, std::system_category()
                               );
              };
              return !detail::open_socket_file("socket", open) && calls == 2 ? 0 : 2;
          }) == 0);
    CHECK_FALSE(is_there(lock_of(path)));
}

TEST_CASE(
    "P22: Listener: another user's lock is in the way of that one path", "[listener]"
) {
    if (!is_root()) {
        return;
    }
    const test::TempDir directory;
    REQUIRE(::chmod(directory.path().c_str(), 01777) == 0);
    const std::string path = directory.path() / "socket";
    const bool readable = GENERATE(true, false);
    CHECK(test::run_in_fork([&] {
              const UniqueFd lock = make_file(lock_of(path));
              return ::fchmod(lock.get(), readable ? 0666 : 0600) == 0 &&
                             ::fchown(lock.get(), nobody - 1, nobody - 1) == 0
                         ? 0
                         : 1;
          }) == 0);
    CHECK(test::run_in_fork([&] {
              if (::setresuid(nobody, nobody, nobody) != 0) {
                  return 1;
              }
              { const Listener listener({.address = path}); }
              if (!leave_dead_socket(path) ||
                  error_of([&] { Listener({.address = path}); }) != EADDRINUSE) {
                  return 2;
              }
              return leave_dead_socket(path + "2") && serves(path + "2") ? 0 : 3;
          }) == 0);
}

TEST_CASE("P15: Client: a server of another user is refused", "[listener]") {
    if (!is_root()) {
        return;
    }
    const bool any = GENERATE(false, true);
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    auto [reader, writer] = mp::Pipe(Duplex::no);
    const pid_t child = test::fork_child([&, &writer = writer] {
        if (as_nobody(directory.path()) != 0) {
            return 1;
        }
        Listener listener({.address = path, .any_user = true});
        writer.send_bytes("listening");
        Connection connection = listener.accept(30s);
        try {
            return text_of(connection.recv_bytes()) == "a secret" ? 2 : 3;
        } catch (const EOFError&) {
            return 4;
        }
    });
    reader.recv_bytes();
    const auto call = [&] {
        if (any) {
            Client({.address = path, .timeout = 30s, .peer = any_user})
                .send_bytes("a secret");
        } else {
            Client({.address = path, .authkey = "key", .timeout = 30s});
        }
    };
    CHECK(error_of(call) == (any ? 0 : EACCES));
    CHECK(test::exit_status(child) == (any ? 2 : 4));
}

TEST_CASE("P15: Client: root may serve everybody", "[listener]") {
    if (!is_root()) {
        return;
    }
    const PeerUser peer = GENERATE(PeerUser::own_user_or_root, PeerUser::any_user);
    Listener listener({.family = Family::unix_socket, .any_user = true});
    const pid_t child = test::fork_child([&] {
        if (::setresuid(nobody, nobody, nobody) != 0) {
            return 1;
        }
        Client({.address = listener.address(), .timeout = 30s, .peer = peer});
        return 0;
    });
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE(
    "P15: in a user namespace a user without a number is nobody's own", "[listener]"
) {
    constexpr int not_allowed = 77;
    CHECK(os::is_own_user_or_root(::geteuid()));
    CHECK(os::is_own_user_or_root(0));
    CHECK_FALSE(os::is_own_user_or_root(::geteuid() + 1));
    const uid_t outside = ::geteuid();
    const int status = test::run_in_fork([&] {
        if (::unshare(CLONE_NEWUSER) != 0) {
            return not_allowed;
        }
        // No user has a number yet: this process is 65534, as everybody is.
        if (::geteuid() != nobody || os::is_own_user_or_root(nobody)) {
            return 1;
        }
        const std::string line = "0 " + std::to_string(outside) + " 1";
        const UniqueFd map(::open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
        if (::write(map.get(), line.data(), line.size()) < 0) {
            return not_allowed;
        }
        return os::is_own_user_or_root(0) && !os::is_own_user_or_root(nobody) ? 0 : 2;
    });
    if (status == not_allowed) {
        WARN("not tested: no user namespaces here");
    } else {
        CHECK(status == 0);
    }
}
