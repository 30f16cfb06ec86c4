// SPDX-License-Identifier: BSL-1.0
// How smart pointers of a graph are read. They are written as Boost writes them: as the
// pointer. Here each says first how it will hold its object, so that no object gets two
// owners that know nothing of each other.
// Python:  none, because every object there is counted.
// Differs: nothing to differ from.
// Threads: one at a time.
#pragma once

#include "mp/detail/archive_errors.hpp"
#include "mp/detail/full_archive.hpp"

#include <boost/serialization/scoped_ptr.hpp>
#include <boost/serialization/shared_ptr.hpp>
#include <boost/serialization/unique_ptr.hpp>
#include <boost/serialization/weak_ptr.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace mp::detail {

/// Deletes as delete does, unless it turns out that somebody else has the object.
struct HeldWeakly {
    bool spared = false;
    void (*destroy)(const void*);

    void operator()(const void* object) const {
        if (!spared) {
            destroy(object);
        }
    }
};

/// For std::shared_ptr and boost::shared_ptr, which do not share with each other.
template <template <class> class Shared>
class OwnerOf final : public SharedOwner {
public:
    template <class T>
    void make(T* object, Hold hold) {
        if (hold == Hold::weak) {
            const auto destroy = [](const void* it) {
                delete static_cast<const T*>(it);
            };
            pointer_ = Shared<T>(object, HeldWeakly{.destroy = destroy});
        } else {
            pointer_ = Shared<T>(object);
        }
    }

    const Shared<void>& pointer() const noexcept { return pointer_; }

    void spare() noexcept override {
        if (HeldWeakly* const deleter = get_deleter<HeldWeakly>(pointer_)) {
            deleter->spared = true;
        }
    }

private:
    Shared<void> pointer_;
};

template <template <class> class Shared, class T>
Shared<T> load_shared(FullIn& in, Hold hold) {
    using Object = std::remove_const_t<T>;
    Object* object = nullptr;
    const ObjectTable::Number number = in.load_held(object, hold);
    if (object == nullptr) {
        return {};
    }
    if (number == ObjectTable::none) {  // of a class without identity
        Shared<T> owner(object);
        if (hold == Hold::weak) {
            throw_decode_error("a weak pointer to an object that nothing else can name"
            );
        }
        return owner;
    }
    auto* owner = dynamic_cast<OwnerOf<Shared>*>(in.objects().owner_of(number).get());
    if (owner == nullptr) {
        if (in.objects().owner_of(number) != nullptr) {
            throw_decode_error("a second owner of an object that has one");
        }
        auto made = std::make_unique<OwnerOf<Shared>>();
        owner = made.get();
        owner->make(object, hold);
        in.objects().owner_of(number) = std::move(made);
    }
    return Shared<T>(owner->pointer(), object);
}

/// Written as the shared pointer that it can be turned into.
template <template <class> class Shared, class T>
Shared<T> load_weak(FullIn& in) {
    Shared<T> pointer;
    in.hold_next_shared(Hold::weak);
    in >> pointer;
    return pointer;
}

template <class Archive>
concept ReadsGraph = std::same_as<Archive, FullIn>;

}  // namespace mp::detail

namespace boost::serialization {

template <::mp::detail::ReadsGraph Archive, class T>
void serialize(Archive& archive, std::shared_ptr<T>& pointer, const unsigned int) {
    const auto hold = archive.take_hold_of_shared();
    pointer = ::mp::detail::load_shared<std::shared_ptr, T>(archive, hold);
}

template <::mp::detail::ReadsGraph Archive, class T>
void serialize(Archive& archive, std::weak_ptr<T>& pointer, const unsigned int) {
    pointer = ::mp::detail::load_weak<std::shared_ptr, T>(archive);
}

template <::mp::detail::ReadsGraph Archive, class T>
void serialize(Archive& archive, boost::shared_ptr<T>& pointer, const unsigned int) {
    const auto hold = archive.take_hold_of_shared();
    pointer = ::mp::detail::load_shared<boost::shared_ptr, T>(archive, hold);
}

template <::mp::detail::ReadsGraph Archive, class T>
void serialize(Archive& archive, boost::weak_ptr<T>& pointer, const unsigned int) {
    pointer = ::mp::detail::load_weak<boost::shared_ptr, T>(archive);
}

template <::mp::detail::ReadsGraph Archive, class T>
void serialize(Archive& archive, std::unique_ptr<T>& pointer, const unsigned int) {
    std::remove_const_t<T>* object = nullptr;
    archive.load_held(object, ::mp::detail::Hold::unique);
    pointer.reset(object);
}

template <::mp::detail::ReadsGraph Archive, class T>
void serialize(Archive& archive, boost::scoped_ptr<T>& pointer, const unsigned int) {
    std::remove_const_t<T>* object = nullptr;
    archive.load_held(object, ::mp::detail::Hold::unique);
    pointer.reset(object);
}

}  // namespace boost::serialization
