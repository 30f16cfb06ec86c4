// SPDX-License-Identifier: BSL-1.0
// The sockets by which processes start, and by which they talk with the helpers, are
// not to be found by anybody else. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/listener.hpp"
#include "mp/shared_memory.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <limits.h>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::Gate;
using test::on;

namespace {

/// The sockets of a process, by their inodes; not those that it may have inherited as
/// standard streams.
std::set<std::string> sockets_of(pid_t process) {
    std::set<std::string> found;
    const std::string folder = "/proc/" + std::to_string(process) + "/fd";
    test::for_each_entry(folder.c_str(), [&](const char* name, int) {
        std::array<char, PATH_MAX> target{};
        const std::string path = folder + "/" + name;
        const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
        const std::string text(
            target.data(), size > 0 ? static_cast<std::size_t>(size) : 0
        );
        if (std::atoi(name) > 2 && text.rfind("socket:[", 0) == 0) {
            found.insert(text.substr(8, text.size() - 9));
        }
    });
    return found;
}

/// A name in the file system, or an abstract one, which is shown with @ for its zero.
bool takes_clients(int type, std::string name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.size() > sizeof address.sun_path - 1) {
        return false;
    }
    if (name.front() == '@') {
        name.front() = '\0';
    }
    name.copy(static_cast<char*>(address.sun_path), name.size());
    const auto size = offsetof(sockaddr_un, sun_path) + name.size() +
                      (name.front() == '\0' ? 0U : 1U);
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool taken = ::connect(
                           fd,
                           reinterpret_cast<const sockaddr*>(&address),
                           static_cast<socklen_t>(size)
                       ) == 0 ||
                       errno == EAGAIN;
    ::close(fd);
    return taken;
}

/// Those to which somebody can connect, or that belong to a network.
std::set<std::string> reachable_among(const std::set<std::string>& sockets) {
    std::set<std::string> found;
    std::string line;
    std::ifstream local("/proc/net/unix");
    while (std::getline(local, line)) {
        // Number, count, protocol, flags, type, state, inode, path. One that tells the
        // senders has a name as well.
        std::istringstream words(line);
        std::string type;
        std::string inode;
        std::string path;
        for (int i = 0; i < 5; ++i) {
            words >> type;
        }
        words >> inode >> inode;
        if (words >> path && sockets.count(inode) != 0 &&
            takes_clients(std::stoi(type, nullptr, 16), path)) {
            found.insert(inode);
        }
    }
    for (const char* file :
         {"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"}) {
        std::ifstream network(file);
        while (std::getline(network, line)) {
            // The inode is the tenth word.
            std::istringstream words(line);
            std::string inode;
            for (int i = 0; i < 10; ++i) {
                words >> inode;
            }
            if (sockets.count(inode) != 0) {
                found.insert(inode);
            }
        }
    }
    return found;
}

void ring_and_wait(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
}

}  // namespace

TEST_CASE(
    "H9: a stranger can connect to no socket of a worker, of a start or of a helper",
    "[faults]"
) {
    const auto context = each_pool_start_method();
    {
        const mp::connection::Listener listener(mp::connection::ListenerOptions{});
        CHECK_FALSE(reachable_among(sockets_of(::getpid())).empty());
    }
    // Such as may be inherited.
    const auto before = reachable_among(sockets_of(::getpid()));
    const Gate bell;
    const Gate gate;
    // The resource tracker is there, too.
    mp::SharedMemory memory({.create = true, .size = 64});
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    const auto one = pool.submit(ring_and_wait, bell.path(), gate.path());
    const auto other = pool.submit(ring_and_wait, bell.path(), gate.path());
    REQUIRE(bell.wait_for(2));
    int processes = 0;
    CHECK(reachable_among(sockets_of(::getpid())) == before);
    test::for_each_relative([&](const test::ProcStat& relative) {
        ++processes;
        CAPTURE(relative.name);
        for (const std::string& socket : reachable_among(sockets_of(relative.pid))) {
            CHECK(before.count(socket) == 1);
        }
    });
    // Two workers and the tracker at least.
    CHECK(processes >= 3);
    gate.open(2);
    one.result(60s);
    other.result(60s);
    memory.unlink();
}
