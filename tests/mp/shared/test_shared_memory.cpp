// SPDX-License-Identifier: BSL-1.0
// SharedMemory: names, views, errors, and what is left behind.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"
#include "mp/reduction.hpp"
#include "mp/shareable_list.hpp"
#include "mp/shared_memory.hpp"

#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/memory_text.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <grp.h>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace mp;
using test::error_of;
using test::put;
using test::text_in;

namespace {

void answer(SharedMemory memory) {
    if (text_in(memory) != "question") {
        throw SystemExit(3);
    }
    put(memory, "answer");
}

void answer_by_name(const std::string& name) {
    answer(SharedMemory({.name = name}));
}

void look_at_size(const SharedMemory& memory) {
    throw SystemExit(memory.size() == 8192 ? 0 : 4);
}

constexpr uid_t stranger = 61'237;
constexpr uid_t user = 61'238;

bool become(uid_t who) {
    return ::setgroups(0, nullptr) == 0 && ::setresgid(who, who, who) == 0 &&
           ::setresuid(who, who, who) == 0;
}

/// Memory that `owner` made and that everybody may write. Its name goes with it.
class MemoryOf {
public:
    explicit MemoryOf(uid_t owner) {
        const int status = test::run_in_fork([&] {
            if (owner != 0 && !become(owner)) {
                return 1;
            }
            SharedMemory memory(
                {.name = name_, .create = true, .size = 8192, .track = false}
            );
            put(memory, "mine");
            return ::chmod(path().c_str(), 0666);
        });
        REQUIRE(status == 0);
    }

    ~MemoryOf() { ::unlink(path().c_str()); }

    MemoryOf(const MemoryOf&) = delete;
    MemoryOf& operator=(const MemoryOf&) = delete;

    const std::string& name() const { return name_; }

    std::string path() const { return "/dev/shm/" + name_; }

private:
    std::string name_ = "mp-owned-" + std::to_string(::getpid());
};

bool is_root() {
    if (::geteuid() != 0) {
        WARN("not checked: only root can become another user");
        return false;
    }
    return true;
}

/// EACCES, and what `.any_user` finds, as that user.
int attach_as(uid_t who, const std::string& name) {
    return test::run_in_fork([&] {
        if (who != 0 && !become(who)) {
            return 90;
        }
        if (error_of([&] { SharedMemory({.name = name}); }) != EACCES) {
            return 1;
        }
        if (error_of([&] { ShareableList({.name = name}); }) != EACCES) {
            return 2;
        }
        return text_in(SharedMemory({.name = name, .any_user = true})) == "mine" ? 0
                                                                                 : 3;
    });
}

}  // namespace

TEST_CASE("SharedMemory: a new segment is found by its name", "[shared_memory]") {
    SharedMemory made({.create = true, .size = 500});
    CHECK(made.name().size() == 12);
    CHECK(made.name().substr(0, 4) == "psm_");
    CHECK(made.size() == 500);
    CHECK(made.buf().size() == 500);
    CHECK(made.buf()[499] == std::byte{0});
    const SharedMemory found({.name = "/" + made.name(), .size = 7});
    CHECK(found.name() == made.name());
    CHECK(found.size() == 500);
    put(made, "hello");
    CHECK(text_in(found) == "hello");
    struct stat status {};
    REQUIRE(::stat(("/dev/shm/" + made.name()).c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    made.unlink();
    CHECK(error_of([&] { made.unlink(); }) == ENOENT);
    CHECK(error_of([&] { SharedMemory({.name = made.name()}); }) == ENOENT);
}

TEST_CASE("SharedMemory: after close() name and size are known", "[shared_memory]") {
    SharedMemory memory({.create = true, .size = 64});
    const SharedMemory copy = memory;
    memory.close();
    memory.close();
    CHECK_FALSE(memory);
    CHECK_FALSE(copy);
    CHECK(copy.buf().empty());
    CHECK(copy.view() == nullptr);
    CHECK(memory.size() == 64);
    memory.unlink();
}

TEST_CASE("SharedMemory: what cannot be is refused", "[shared_memory]") {
    CHECK_THROWS_AS(SharedMemory({.create = true}), std::invalid_argument);
    CHECK_THROWS_AS(SharedMemory({.create = true, .size = 0}), std::invalid_argument);
    const int negative = -1;
    CHECK_THROWS_AS(
        SharedMemory({.create = true, .size = negative}), std::invalid_argument
    );
    CHECK_THROWS_AS(SharedMemory(SharedMemoryOptions{}), std::invalid_argument);
    CHECK_THROWS_AS(
        SharedMemory({.name = std::string("a\0b", 3)}), std::invalid_argument
    );
    for (const char* name : {"a/b", ".", "..", "/"}) {
        CHECK(error_of([&] {
                  SharedMemory({.name = name, .create = true, .size = 1});
              }) == EINVAL);
    }
    CHECK(error_of([&] {
              SharedMemory({.name = std::string(256, 'x'), .create = true, .size = 1});
          }) == ENAMETOOLONG);
    CHECK_THROWS_AS(SharedMemory().unlink(), StateError);
}

TEST_CASE("SharedMemory: a name that is taken stays as it was", "[shared_memory]") {
    SharedMemory first({.create = true, .size = 64});
    put(first, "mine");
    CHECK(error_of([&] {
              SharedMemory({.name = first.name(), .create = true, .size = 64});
          }) == EEXIST);
    CHECK(text_in(SharedMemory({.name = first.name()})) == "mine");
    first.unlink();
    // The same name for another segment: the first one's maker no longer removes it.
    SharedMemory second({.name = first.name(), .create = true, .size = 64});
    CHECK(error_of([&] { first.unlink(); }) == ENOENT);
    second.unlink();
}

TEST_CASE("SharedMemory: a hostile entry of /dev/shm is refused", "[shared_memory]") {
    const std::string name = "mp-test-" + std::to_string(::getpid());
    const std::string path = "/dev/shm/" + name;
    SECTION("a link") {
        REQUIRE(::symlink("/dev/zero", path.c_str()) == 0);
        CHECK(error_of([&] { SharedMemory({.name = name}); }) == ELOOP);
    }
    SECTION("a fifo") {
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        CHECK(error_of([&] { SharedMemory({.name = name}); }) == EINVAL);
    }
    // As a maker like CPython's leaves it that is killed half-way.
    SECTION("nothing in it") {
        const UniqueFd file(::shm_open(("/" + name).c_str(), O_CREAT | O_RDWR, 0600));
        CHECK_THROWS_AS(SharedMemory({.name = name}), std::invalid_argument);
    }
    ::unlink(path.c_str());
}

TEST_CASE("SharedMemory: given to a child", "[shared_memory]") {
    const Context ctx = each_start_method();
    SharedMemory memory({.create = true, .size = 64});
    put(memory, "question");
    SECTION("itself") {
        auto p = ctx.Process(answer, memory);
        p.start();
        p.join();
        CHECK(p.exitcode() == 0);
    }
    SECTION("by its name") {
        auto p = ctx.Process(answer_by_name, memory.name());
        p.start();
        p.join();
        CHECK(p.exitcode() == 0);
    }
    SECTION("when its name is gone before the child looks") {
        auto p = ctx.Process(answer, memory);
        p.start();
        memory.unlink();
        p.join();
        CHECK(p.exitcode() == 0);
        CHECK(text_in(memory) == "answer");
        return;
    }
    CHECK(text_in(memory) == "answer");
    memory.unlink();
}

TEST_CASE("SharedMemory: inside a message its name travels", "[shared_memory]") {
    SharedMemory memory({.create = true, .size = 64});
    put(memory, "text");
    const auto message = dumps(memory);
    CHECK(message.size() < 64);
    CHECK(text_in(loads<SharedMemory>(message)) == "text");
    auto [a, b] = Pipe();
    a.send(memory);
    const auto received = b.recv<SharedMemory>();
    memory.close();
    CHECK(text_in(received) == "text");
    memory.unlink();
    CHECK(error_of([&] { loads<SharedMemory>(message); }) == ENOENT);
    CHECK_THROWS_AS(dumps(SharedMemory()), StateError);
}

TEST_CASE(
    "SharedMemory: another user's is attached to only if that is asked for",
    "[shared_memory][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const MemoryOf theirs(stranger);
    SECTION("root believes nobody") {
        CHECK(attach_as(0, theirs.name()) == 0);
    }
    SECTION("nor does another user") {
        CHECK(attach_as(user, theirs.name()) == 0);
    }
}

TEST_CASE(
    "SharedMemory: one's own and root's are attached to", "[shared_memory][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const uid_t owner = GENERATE(uid_t{0}, user);
    const MemoryOf memory(owner);
    CHECK(test::run_in_fork([&] {
              return become(user) &&
                             text_in(SharedMemory({.name = memory.name()})) == "mine"
                         ? 0
                         : 1;
          }) == 0);
}

TEST_CASE("SharedMemory: a truncated file is an error", "[shared_memory]") {
    SharedMemory memory({.create = true, .size = 8192});
    const std::string path = "/dev/shm/" + memory.name();
    REQUIRE(::truncate(path.c_str(), 100) == 0);
    SECTION("for a child that was given more") {
        const StartMethod method =
            GENERATE(StartMethod::spawn, StartMethod::forkserver);
        Process child({.start_method = method}, look_at_size, memory);
        child.start();
        child.join();
        CHECK(child.exitcode() == 1);
    }
    SECTION("for a reader of a message about more") {
        CHECK_THROWS_AS(loads<SharedMemory>(dumps(memory)), std::invalid_argument);
    }
    SECTION("with nothing left, for everybody") {
        REQUIRE(::truncate(path.c_str(), 0) == 0);
        CHECK_THROWS_AS(SharedMemory({.name = memory.name()}), std::invalid_argument);
    }
    memory.unlink();
}

TEST_CASE(
    "SharedMemory: attaching to what changes its size is an error or a whole",
    "[shared_memory]"
) {
    SharedMemory memory({.create = true, .size = 8192});
    const std::string path = "/dev/shm/" + memory.name();
    const pid_t changing = test::fork_child([&] {
        for (bool large = true;; large = !large) {
            if (::truncate(path.c_str(), large ? 8192 : 0) != 0) {
                return 0;  // its name is gone
            }
        }
    });
    for (int i = 0; i < 2000; ++i) {
        try {
            const SharedMemory attached({.name = memory.name()});
            if (attached.size() != 8192 || attached.buf().size() != 8192) {
                FAIL("half of it");
            }
        } catch (const std::invalid_argument&) {
            // Said so.
        }
    }
    memory.unlink();
    CHECK(test::exit_status(changing) == 0);
}
