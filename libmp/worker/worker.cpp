// SPDX-License-Identifier: BSL-1.0
// libmp-worker: the program that children are, where the host's own main cannot begin
// with freeze_support(): mp::set_executable() names it.
//
// It has nothing of libmp. The module that has, a plug-in or libmp.so, is its third
// argument: it loads that and goes on there, so that parent and child have the very
// same code. See docs/protocols/child_start.md.
#include <dlfcn.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr const char* entry = "mp_worker_main";

// What a child says when it will not start; as child_link.cpp writes it.
struct Answer {
    std::uint32_t refused = 1;
    std::uint32_t text_bytes = 0;
};

[[noreturn]] void refuse(const char* socket, const std::string& why) {
    const std::string text = "libmp-worker: " + why;
    std::fprintf(stderr, "%s\n", text.c_str());
    const int fd = std::atoi(socket);
    const Answer answer{.text_bytes = static_cast<std::uint32_t>(text.size())};
    std::string message(reinterpret_cast<const char*>(&answer), sizeof answer);
    message += text;
    int kind = 0;
    socklen_t size = sizeof kind;
    // That of a child or a fork server; a resource tracker has no answers.
    if (fd >= 3 && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) == 0 &&
        kind == SOCK_STREAM) {
        // The parent may be gone: then nobody wants to know.
        static_cast<void>(::send(fd, message.data(), message.size(), MSG_NOSIGNAL));
    }
    std::_Exit(1);  // at once: its parent kills it as soon as it has read this
}

// Was it killed, or did it leave, while we began? Then its end of the socket is closed,
// even before it is reaped.
bool is_gone(pid_t pid, int socket) {
    if (pid <= 0 || pid == ::getppid()) {
        return false;
    }
    pollfd its{.fd = socket, .events = 0, .revents = 0};
    return ::poll(&its, 1, 0) == 1 && (its.revents & POLLHUP) != 0;
}

// As child_entry.cpp, which comes too late here: what is loaded runs code. Null if the
// socket is our parent's, of the same user, and exec gave us nothing that the parent
// has not.
const char* why_no_child(const char* socket) {
    uid_t real = 0;
    uid_t effective = 0;
    uid_t saved = 0;
    gid_t real_group = 0;
    gid_t effective_group = 0;
    gid_t saved_group = 0;
    if (::getauxval(AT_SECURE) != 0 || ::getresuid(&real, &effective, &saved) != 0 ||
        ::getresgid(&real_group, &effective_group, &saved_group) != 0 ||
        real != effective || effective != saved || real_group != effective_group ||
        effective_group != saved_group) {
        return "it has rights that its caller has not (set-user-id, set-group-id, "
               "capabilities of the file, or a change of its security domain by exec)";
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool known =
        ::getsockopt(std::atoi(socket), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    const bool is_ours = known && peer.pid == ::getpid();
    if (known && !is_ours && is_gone(peer.pid, std::atoi(socket))) {
        std::_Exit(1);  // there is nobody to tell
    }
    if (!known || (!is_ours && peer.pid != ::getppid()) || peer.uid != effective) {
        return "the socket that it was started with is not its parent's";
    }
    return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(
            stderr,
            "libmp-worker is started by programs that use libmp: mp::set_executable()\n"
        );
        return 2;
    }
    const char* const socket = argv[2];
    if (const char* const why = why_no_child(socket)) {
        std::fprintf(stderr, "libmp-worker: no child of its caller: %s\n", why);
        return 1;
    }
    if (argc != 4) {
        refuse(
            socket,
            "libmp is a part of the program itself, which no other program can load; "
            "it must be a part of a library, or a library itself"
        );
    }
    void* const module = ::dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
        const char* const reason = ::dlerror();
        refuse(socket, std::string("cannot load ") + (reason != nullptr ? reason : ""));
    }
    void* const found = ::dlsym(module, entry);
    if (found == nullptr) {
        refuse(
            socket,
            std::string(argv[3]) + " does not export " + entry +
                ": leave it visible (no --exclude-libs, no version script that hides "
                "it)"
        );
    }
    reinterpret_cast<void (*)(int, char**)>(found)(argc, argv);
    refuse(socket, std::string(argv[3]) + " does not know these arguments");
}
