// SPDX-License-Identifier: BSL-1.0
// InArchive: bytes to values. See mp/archive.hpp.
// Python:  pickle.Unpickler
// Long because the list is as long as there are kinds of types.
#pragma once

#include "mp/detail/archive_errors.hpp"
#include "mp/detail/archive_kind.hpp"
#include "mp/detail/archive_traits.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/full_archive_fwd.hpp"
#include "mp/detail/nesting.hpp"
#include "mp/detail/refusal.hpp"
#include "mp/detail/room_ahead.hpp"
#include "mp/detail/type_name.hpp"
#include "mp/detail/value_refusal.hpp"

#include <boost/mpl/bool.hpp>
#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/serialization.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace mp {

/// Reads values: `ar >> x` or `ar & x`. Models Boost's loading archive.
class InArchive {
public:
    using is_loading = boost::mpl::true_;
    using is_saving = boost::mpl::false_;

    /// Reads on from where `in` stands; it must outlive the archive.
    explicit InArchive(detail::ByteReader& in)
        : in_(in), room_(in.left()), buckets_(in.left()) {}

    InArchive(const InArchive&) = delete;
    InArchive& operator=(const InArchive&) = delete;
    ~InArchive() = default;

    template <class T>
    InArchive& operator>>(T&& value) {
        using Plain = std::remove_cv_t<std::remove_reference_t<T>>;
        constexpr detail::Kind kind = detail::kind_of<Plain>();
        static_assert(
            kind == detail::Kind::wrapper ||
                !std::is_const_v<std::remove_reference_t<T>>,
            "a constant cannot be read into"
        );
        load<kind>(const_cast<Plain&>(value));
        return *this;
    }

    template <class T>
    InArchive& operator&(T&& value) {
        return *this >> std::forward<T>(value);
    }

    /// Part of Boost's archive concept, for use in a serialize().
    void load_binary(void* to, std::size_t size) { in_.bulk(to, size); }

    template <class T>
    void register_type(const T* = nullptr) {
        detail::PointersNeedTheHeaderMpSerialization<T>::register_type(full());
    }

    template <class Helper>
    Helper& get_helper(void* const id = nullptr) {
        return detail::PointersNeedTheHeaderMpSerialization<
            Helper>::template get_helper<Helper>(full(), id);
    }

    boost::serialization::library_version_type get_library_version() const {
        return detail::library_version();
    }

    unsigned get_flags() const { return 1; }  // Boost's no_header

    /// A loaded object has been moved: pointers to it follow.
    template <class T>
    void reset_object_address(const T* to, const T* from) {
        if (full_) {
            note_move(to, from, 1, detail::last_object(*full_));
        }
    }

    void reset_object_address(const void* to, const void* from) {
        if (full_) {
            detail::note_move_of_unknown(*full_, to, from);
        }
    }

    void delete_created_pointers() {
        // Nothing: a shared_ptr may own them already.
    }

private:
    friend struct detail::ElementMoves;
    friend struct detail::ReadEnd;

    detail::FullIn& full() {
        if (!full_) {
            full_ = detail::make_full(in_);
        }
        depth_.tell();
        return *full_;
    }

    /// A number of elements, none of which can take fewer bytes than `least`.
    std::size_t get_count(std::size_t least) {
        const auto count = in_.get_value<std::uint64_t>();
        if (count > in_.left() / least) [[unlikely]] {
            detail::throw_bad_length(count, in_.left());
        }
        return static_cast<std::size_t>(count);
    }

    bool get_bool(const char* otherwise) {
        const auto byte = in_.get_value<std::uint8_t>();
        if (byte > 1) [[unlikely]] {
            detail::throw_decode_error(otherwise);
        }
        return byte != 0;
    }

    template <class T>
    bool get_tracked() {
        const bool tracked = get_bool("an object begins with neither 0 nor 1");
        if constexpr (detail::is_never_tracked<T>) {
            if (tracked) [[unlikely]] {
                detail::throw_decode_error("an object has a number that has none");
            }
        }
        return tracked;
    }

    // ---- where objects stand, for pointers to them that follow

    /// This is a graph, and these may be objects of it or hold some.
    template <class... T>
    bool holds_objects() const noexcept {
        if constexpr ((detail::may_hold_objects<T> || ...)) {
            return full_ != nullptr;
        } else {
            return false;
        }
    }

    template <class... T>
    std::uint32_t objects_read() const noexcept {
        return holds_objects<T...>() ? detail::objects_read(*full_) : 0;
    }

    template <class T>
    void note_move(const T* to, const T* from, std::size_t count, std::uint32_t since) {
        if (full_) [[unlikely]] {
            detail::note_move(
                *full_,
                {.to = to,
                 .from = from,
                 .size = count * sizeof(T),
                 .since = since,
                 .keeps_owned = std::is_nothrow_move_constructible_v<T>}
            );
        }
    }

    /// A key that was there already: others may point to what it replaces.
    static void check_is_new(bool added) {
        if (!added) {
            detail::throw_decode_error("a key that stands twice in a graph");
        }
    }

    template <class T>
    void load_tracked(T& value) {
        in_graph_ = true;
        detail::load_tracked(full(), std::addressof(value), typeid(T));
    }

    template <detail::Kind kind, class T>
    // NOLINTNEXTLINE(readability-function-size): the list is as long as there are kinds
    void load(T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::scalar || kind == Kind::primitive) {
            in_.get(std::addressof(value), sizeof(T));
        } else if constexpr (kind == Kind::boolean) {
            value = get_bool("a bool is neither 0 nor 1");
        } else if constexpr (kind == Kind::count) {
            load_count(value);
        } else if constexpr (kind == Kind::text) {
            load_text(value);
        } else if constexpr (kind == Kind::array) {
            load_array(std::data(value), std::size(value));
        } else if constexpr (kind == Kind::duration) {
            typename T::rep count{};
            *this >> count;
            value = T(count);
        } else if constexpr (kind == Kind::time_point) {
            typename T::duration since{};
            *this >> since;
            value = T(since);
        } else if constexpr (kind == Kind::owner) {
            value.reset();
            if (get_bool("a unique_ptr begins with neither 0 nor 1")) {
                value = std::make_unique<typename T::element_type>();
                *this >> *value;
            }
        } else if constexpr (kind == Kind::empty) {
            in_.view(1);
        } else if constexpr (kind == Kind::wrapper) {
            if constexpr (detail::is_array_wrapper<T>) {
                load_array(value.address(), value.count());
            } else {
                boost::serialization::serialize_adl(*this, value, 0U);
            }
        } else if constexpr (kind == Kind::pointer) {
            using Named = std::remove_cv_t<std::remove_pointer_t<T>>;
            in_graph_ = true;
            detail::PointersNeedTheHeaderMpSerialization<Named>::load(full(), value);
        } else if constexpr (kind == Kind::boost_archive) {
            detail::PointersNeedTheHeaderMpSerialization<T>::load_binary_archive(
                in_, value
            );
        } else if constexpr (detail::accepts<detail::refusal_of_part<T>(), T>()) {
            if (get_tracked<T>()) {
                load_tracked(value);
                return;
            }
            if constexpr (kind == Kind::plain_struct && detail::is_bitwise<T>()) {
                in_.get(std::addressof(value), sizeof(T));
                return;
            }
            const detail::ArchiveDepth::Level level(depth_, detail::Direction::decode);
            load_untracked<kind>(value);
        }
    }

    template <class T>
    void load_count(T& value) {
        // A size; the version numbers are never that large.
        constexpr bool size =
            std::is_same_v<T, boost::serialization::collection_size_type>;
        if constexpr (size) {
            value = T(get_count(1));
        } else {
            value = T(static_cast<unsigned>(in_.get_value<std::uint64_t>()));
        }
    }

    template <class T>
    void load_text(T& value) {
        using Char = typename T::value_type;
        const std::size_t count = get_count(sizeof(Char));
        if constexpr (sizeof(Char) == 1) {
            const auto bytes = in_.view(count);
            value.assign(reinterpret_cast<const Char*>(bytes.data()), count);
        } else {
            value.resize(count);
            in_.bulk(value.data(), count * sizeof(Char));
        }
    }

    template <detail::Kind kind, class T>
    void load_untracked(T& value) {
        using detail::Kind;
        if constexpr (kind == Kind::sequence) {
            load_sequence(value);
        } else if constexpr (kind == Kind::set) {
            using Key = typename T::key_type;
            const std::size_t count = get_count(detail::least_size<Key>());
            value.clear();
            const detail::RoomAhead::Share share(buckets_, count, sizeof(void*));
            reserve(value, share.elements());  // the buckets; nothing, if it has none
            for (std::size_t i = 0; i < count; ++i) {
                const std::uint32_t since = objects_read<Key>();
                Key key{};
                *this >> key;
                const auto at = value.emplace_hint(value.end(), std::move(key));
                if (holds_objects<Key>()) [[unlikely]] {
                    check_is_new(value.size() == i + 1);
                    note_move(std::addressof(*at), std::addressof(key), 1, since);
                }
            }
        } else if constexpr (kind == Kind::map) {
            load_map(value);
        } else if constexpr (kind == Kind::tuple) {
            std::apply([this](auto&... members) { ((*this >> members), ...); }, value);
        } else if constexpr (kind == Kind::optional) {
            using Value = typename T::value_type;
            static_assert(
                std::is_default_constructible_v<Value>,
                "a value is made first and read into then: give it a default "
                "constructor"
            );
            if (get_bool("an optional begins with neither 0 nor 1")) {
                *this >> value.emplace();
            } else {
                value.reset();
            }
        } else if constexpr (kind == Kind::variant) {
            load_variant(value);
        } else {
            load_object<kind>(value);
        }
    }

    template <class T>
    void load_sequence(T& value) {
        using Element = typename T::value_type;
        const std::size_t count = get_count(detail::least_size<Element>());
        value.clear();
        if constexpr (std::is_same_v<Element, bool>) {
            reserve(value, count);  // less than their bytes
            for (std::size_t i = 0; i < count; ++i) {
                value.push_back(get_bool("a bool is neither 0 nor 1"));
            }
        } else if constexpr (detail::may_hold_objects<Element> && requires {
                                 value.data();
                             }) {
            const detail::RoomNeeded::Scope scope(
                needed_, count, sizeof(Element), 0 - in_.left()
            );
            load_vector(value, count);
            if (in_graph_) [[unlikely]] {
                in_.view(scope.missing(0 - in_.left()));
            }
        } else {
            load_vector(value, count);
        }
    }

    /// Or a list or deque.
    template <class T>
    void load_vector(T& value, std::size_t count) {
        using Element = typename T::value_type;
        if constexpr (detail::is_bitwise<Element>() && requires { value.data(); }) {
            load_block(value, count);
        } else {
            load_elements(value, count, [this](Element& element) { *this >> element; });
        }
    }

    template <class T>
    void load_block(T& value, std::size_t count) {
        using Element = typename T::value_type;
        if constexpr (detail::may_be_pointed_at<Element>) {
            if (get_tracked<Element>()) {
                load_elements(value, count, [this](Element& element) {
                    load_tracked(element);
                });
                return;
            }
        }
        if (count > in_.left() / sizeof(Element)) [[unlikely]] {
            detail::throw_bad_length(count, in_.left());
        }
        resize(value, count);
        in_.bulk(value.data(), count * sizeof(Element));
    }

    template <class T, class Read>
    void load_elements(T& value, std::size_t count, Read read) {
        using Element = typename T::value_type;
        if constexpr (requires {
                          value.reserve(count);
                          value.data();
                      }) {
            if (count > detail::RoomAhead::least / sizeof(Element)) {
                load_many_elements(value, count, read);
                return;
            }
            reserve(value, count);
        }
        for (std::size_t i = 0; i < count; ++i) {
            read(value.emplace_back());
        }
    }

    template <class T, class Read>
    void load_many_elements(T& value, std::size_t count, Read read) {
        using Element = typename T::value_type;
        const detail::RoomAhead::Share share(room_, count, sizeof(Element));
        reserve(value, share.elements());
        const std::uint32_t since = objects_read<Element>();
        for (std::size_t i = 0; i < count; ++i) {
            if (i == value.capacity()) [[unlikely]] {
                const Element* const before = value.data();
                reserve(value, detail::next_room(i, count));
                note_move(static_cast<const Element*>(value.data()), before, i, since);
            }
            read(value.emplace_back());
        }
    }

    template <class T>
    void load_map(T& value) {
        using Key = typename T::key_type;
        using Mapped = typename T::mapped_type;
        const std::size_t count =
            get_count(detail::least_size<Key>() + detail::least_size<Mapped>());
        value.clear();
        const detail::RoomAhead::Share share(buckets_, count, sizeof(void*));
        reserve(value, share.elements());
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t since = objects_read<Key>();
            Key key{};
            *this >> key;
            const auto at = value.emplace_hint(
                value.end(),
                std::piecewise_construct,
                std::forward_as_tuple(std::move(key)),
                std::tuple<>()
            );
            if (holds_objects<Key, Mapped>()) [[unlikely]] {
                check_is_new(value.size() == i + 1);
                const Key* const from = std::addressof(key);
                note_move(std::addressof(at->first), from, 1, since);
            }
            // In place, so that its address is final.
            *this >> at->second;
        }
    }

    template <class... T>
    void load_variant(std::variant<T...>& value) {
        static_assert(
            (std::is_default_constructible_v<T> && ...),
            "a value is made first and read into then: give each alternative a default "
            "constructor"
        );
        const auto index = in_.get_value<std::uint32_t>();
        if (index >= sizeof...(T)) [[unlikely]] {
            detail::throw_decode_error("a variant has no alternative of that index");
        }
        load_alternative(value, index, std::index_sequence_for<T...>());
    }

    template <class T, std::size_t... I>
    void load_alternative(T& value, std::size_t index, std::index_sequence<I...>) {
        (void)((index == I && (*this >> value.template emplace<I>(), true)) || ...);
    }

    template <detail::Kind kind, class T>
    void load_object(T& value) {
        constexpr unsigned known = detail::class_version<T>();
        unsigned version = known;
        if constexpr (known > 0) {
            version = in_.get_value<unsigned>();
            if (version > known) [[unlikely]] {
                detail::throw_newer_version(detail::type_name<T>(), version, known);
            }
        }
        const std::uint32_t since = objects_read<T>();
        if constexpr (kind == detail::Kind::plain_struct) {
            detail::pass_members(value, [this](auto&... members) {
                ((*this >> members), ...);
            });
        } else {
            boost::serialization::serialize_adl(*this, value, version);
        }
        if (full_) [[unlikely]] {
            detail::note_return(*full_, since);
        }
    }

    template <class T>
    void load_array(T* first, std::size_t count) {
        if constexpr (detail::is_bitwise<T>()) {
            if constexpr (detail::may_be_pointed_at<T>) {
                if (get_tracked<T>()) {
                    for (std::size_t i = 0; i < count; ++i) {
                        load_tracked(first[i]);
                    }
                    return;
                }
            }
            in_.bulk(first, count * sizeof(T));
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                *this >> first[i];
            }
        }
    }

    template <class T>
    static void reserve(T& value, std::size_t count) {
        if constexpr (requires { value.reserve(count); }) {
            try {
                value.reserve(count);
            } catch (const std::bad_alloc&) {
                detail::throw_no_memory(count);
            } catch (const std::length_error&) {
                detail::throw_no_memory(count);
            }
        }
    }

    template <class T>
    static void resize(T& value, std::size_t count) {
        try {
            value.resize(count);
        } catch (const std::bad_alloc&) {
            detail::throw_no_memory(count);
        } catch (const std::length_error&) {
            detail::throw_no_memory(count);
        }
    }

    // Set once in the constructor.
    detail::ByteReader& in_;
    // One thread at a time.
    std::unique_ptr<detail::FullIn, detail::DeleteFull> full_;
    detail::RoomAhead room_;
    // For what hashes, apart, as only vectors ask for theirs in what is written.
    detail::RoomAhead buckets_;
    detail::RoomNeeded needed_;
    // A pointer was read, or an object that one may name.
    bool in_graph_ = false;
    detail::ArchiveDepth depth_;
};

}  // namespace mp
