// SPDX-License-Identifier: BSL-1.0
// What happens to named memory when there is no room for it, when it is swept, and when
// its name is deleted.
#include "mp/errors.hpp"
#include "mp/shared_memory.hpp"

#include "os/named_memory.hpp"
#include "os/pipe.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/memory_text.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>

using namespace mp;
using test::error_of;
using test::put;
using test::text_in;

namespace {

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

}  // namespace

TEST_CASE("Q4: SharedMemory: memory that is not there is an error", "[shared_memory]") {
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

TEST_CASE("Q7: SharedMemory: a view is valid after close()", "[shared_memory]") {
    SharedMemory memory({.create = true, .size = 64});
    auto view = memory.view();
    memory.close();
    view[63] = std::byte{1};
    const SharedMemory again({.name = memory.name()});
    CHECK(again.buf()[63] == std::byte{1});
    memory.unlink();
}

// The sweepers are this process.
TEST_CASE("Q9 Q10: named_memory: only what nobody uses is swept", "[shared_memory]") {
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

TEST_CASE(
    "Q11 Q14: SharedMemory: lives on when its name is deleted", "[shared_memory]"
) {
    SharedMemory memory({.create = true, .size = 64});
    REQUIRE(::unlink(("/dev/shm/" + memory.name()).c_str()) == 0);
    put(memory, "still here");
    CHECK(text_in(memory) == "still here");
    CHECK(error_of([&] { SharedMemory({.name = memory.name()}); }) == ENOENT);
    CHECK(error_of([&] { memory.unlink(); }) == ENOENT);
}
