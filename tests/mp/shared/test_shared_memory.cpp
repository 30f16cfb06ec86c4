// SPDX-License-Identifier: BSL-1.0
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"
#include "mp/reduction.hpp"
#include "mp/shared_memory.hpp"

#include "os/named_memory.hpp"
#include "os/pipe.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

using namespace mp;
using namespace std::chrono_literals;

namespace {

template <class Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    return 0;
}

void put(const SharedMemory& memory, const char* text) {
    std::memcpy(memory.buf().data(), text, std::strlen(text) + 1);
}

std::string text_in(const SharedMemory& memory) {
    return reinterpret_cast<const char*>(memory.buf().data());
}

constexpr std::size_t small_dev_shm = 65536;
constexpr int not_permitted = 100;

// Gives this process, a forked child, a namespace with a /dev/shm of its own.
bool has_small_dev_shm() {
    const std::string options = "size=" + std::to_string(small_dev_shm);
    return (::unshare(CLONE_NEWNS) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0
           ) &&
           ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("tmpfs", "/dev/shm", "tmpfs", 0, options.c_str()) == 0;
}

void answer(SharedMemory memory) {
    if (text_in(memory) != "question") {
        throw SystemExit(3);
    }
    put(memory, "answer");
}

void answer_by_name(const std::string& name) {
    answer(SharedMemory({.name = name}));
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

// What must survive what: case Q7.
TEST_CASE("SharedMemory: a view is valid after close()", "[shared_memory]") {
    SharedMemory memory({.create = true, .size = 64});
    auto view = memory.view();
    memory.close();
    view[63] = std::byte{1};
    const SharedMemory again({.name = memory.name()});
    CHECK(again.buf()[63] == std::byte{1});
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
    // The same name for another segment (case Q14): the first one's owner no longer
    // removes it.
    SharedMemory second({.name = first.name(), .create = true, .size = 64});
    CHECK(error_of([&] { first.unlink(); }) == ENOENT);
    second.unlink();
}

// What must survive what: case Q4.
TEST_CASE("SharedMemory: memory that is not there is an error", "[shared_memory]") {
    SECTION("/dev/shm is full") {
        const int status = test::run_in_fork([] {
            if (!has_small_dev_shm()) {
                return not_permitted;
            }
            SharedMemory fits({.create = true, .size = 4096});
            return error_of([] {
                SharedMemory({.create = true, .size = small_dev_shm});
            });
        });
        if (status == not_permitted) {
            WARN("no namespace for a /dev/shm of its own: not tested");
        } else {
            CHECK(status == ENOSPC);
        }
    }
    SECTION("more than there is") {
        CHECK_THROWS_AS(
            SharedMemory({.create = true, .size = std::size_t{1} << 50U}),
            ResourceLimitExceeded
        );
    }
    SECTION("beyond RLIMIT_FSIZE") {
        const int status = test::run_in_fork([] {
            struct rlimit small {};
            ::getrlimit(RLIMIT_FSIZE, &small);
            small.rlim_cur = 4096;
            ::setrlimit(RLIMIT_FSIZE, &small);
            try {
                SharedMemory({.create = true, .size = 8192});
            } catch (const ResourceLimitExceeded&) {
                return 0;
            }
            return 1;
        });
        CHECK(status == 0);
    }
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
    // What must survive what: case Q8, a maker like CPython's, killed half-way.
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

// What must survive what: cases Q9 and Q10 (here the sweepers are this process).
TEST_CASE("named_memory: only what nobody uses is swept", "[shared_memory]") {
    SharedMemory memory({.create = true, .size = 64});
    const std::string& name = memory.name();
    UniqueFd fd = os::open_memory(name);
    const os::FileId id = os::file_id(fd.get());
    CHECK(os::sweep_memory(name, id) == os::Sweep::in_use);
    CHECK(os::sweep_memory(name, {}) == os::Sweep::gone);

    SECTION("also a mapping alone is a use") {
        auto view = memory.view();
        void* const mapped = ::mmap(nullptr, 64, PROT_READ, MAP_SHARED, fd.get(), 0);
        REQUIRE(mapped != MAP_FAILED);
        fd.reset();
        view.reset();
        memory.close();
        CHECK(os::sweep_memory(name, id) == os::Sweep::in_use);
        ::munmap(mapped, 64);
    }
    SECTION("a forked child's copy is a use") {
        auto [reader, writer] = os::make_pipe();
        const pid_t child = test::fork_child([&, &writer = writer] {
            writer.reset();
            char byte = 0;
            return static_cast<int>(::read(reader.get(), &byte, 1));
        });
        fd.reset();
        memory.close();
        CHECK(os::sweep_memory(name, id) == os::Sweep::in_use);
        writer.reset();
        CHECK(test::exit_status(child) == 0);
    }
    SECTION("while a sweeper holds it, nobody gets it any more") {
        fd.reset();
        memory.close();
        const UniqueFd sweeper(::open(("/dev/shm/" + name).c_str(), O_RDWR | O_CLOEXEC)
        );
        struct flock whole {};
        whole.l_type = F_WRLCK;
        REQUIRE(::fcntl(sweeper.get(), F_OFD_SETLK, &whole) == 0);
        CHECK(error_of([&] { SharedMemory({.name = name}); }) == ENOENT);
        CHECK(os::sweep_memory(name, id) == os::Sweep::in_use);
    }
    fd.reset();
    memory.close();
    CHECK(os::sweep_memory(name, id) == os::Sweep::removed);
    CHECK(os::sweep_memory(name, id) == os::Sweep::gone);
}

// What must survive what: cases Q11 and Q14.
TEST_CASE("SharedMemory: lives on when its name is deleted", "[shared_memory]") {
    SharedMemory memory({.create = true, .size = 64});
    REQUIRE(::unlink(("/dev/shm/" + memory.name()).c_str()) == 0);
    put(memory, "still here");
    CHECK(text_in(memory) == "still here");
    CHECK(error_of([&] { SharedMemory({.name = memory.name()}); }) == ENOENT);
    CHECK(error_of([&] { memory.unlink(); }) == ENOENT);
}
